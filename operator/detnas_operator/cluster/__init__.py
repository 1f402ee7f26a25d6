"""The Kubernetes API: a thin synchronous client over plain dicts, and its errors."""

from detnas_operator.cluster.client import KubernetesClient, Snapshot
from detnas_operator.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    NotFound,
    Refused,
    Terminating,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from detnas_operator.cluster.kinds import PLURAL

__all__ = [
    "PLURAL",
    "AlreadyExists",
    "ClusterError",
    "Conflict",
    "KubernetesClient",
    "NotFound",
    "Refused",
    "Snapshot",
    "Terminating",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
]
