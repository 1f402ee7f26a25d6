"""The custom resource DetNASSearch: its definition for a cluster, and the status in it."""

from detnas.resource.definition import custom_resource_definition
from detnas.resource.status import ResourceStatus

__all__ = ["ResourceStatus", "custom_resource_definition"]
