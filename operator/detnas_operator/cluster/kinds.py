"""The kinds of object that the operator uses, and where the API serves them."""

from dataclasses import dataclass
from urllib.parse import quote

GROUP = "detnas.dev"
VERSION = "v1alpha1"
PLURAL = "detnassearches"
KIND = "DetNASSearch"
KUEUE = "kueue.x-k8s.io"
JOBSET = "jobset.x-k8s.io"


@dataclass(frozen=True, slots=True)
class Kind:
    """Where the API serves one kind of object.

    Attributes:
        plural: the last part of a collection's path.
        prefix: the group's path, ``/api/v1`` or ``/apis/<group>/<version>``.
        group: the API group, empty for the core group.
    """

    plural: str
    prefix: str
    group: str = ""

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or of a collection where ``name`` is empty."""
        place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        parts = (quote(part, safe="") for part in (name, subresource) if part)
        return "/".join((f"{self.prefix}{place}/{self.plural}", *parts))


KINDS = {
    PLURAL: Kind(PLURAL, f"/apis/{GROUP}/{VERSION}", GROUP),
    "jobs": Kind("jobs", "/apis/batch/v1", "batch"),
    "jobsets": Kind("jobsets", f"/apis/{JOBSET}/v1alpha2", JOBSET),
    "pods": Kind("pods", "/api/v1"),
    "services": Kind("services", "/api/v1"),
    "events": Kind("events", "/api/v1"),
    "nodes": Kind("nodes", "/api/v1"),
    "resourcequotas": Kind("resourcequotas", "/api/v1"),
    "persistentvolumeclaims": Kind("persistentvolumeclaims", "/api/v1"),
    "secrets": Kind("secrets", "/api/v1"),
    "configmaps": Kind("configmaps", "/api/v1"),
    "serviceaccounts": Kind("serviceaccounts", "/api/v1"),
    "deployments": Kind("deployments", "/apis/apps/v1", "apps"),
    "customresourcedefinitions": Kind(
        "customresourcedefinitions", "/apis/apiextensions.k8s.io/v1", "apiextensions.k8s.io"
    ),
    "workloads": Kind("workloads", f"/apis/{KUEUE}/v1beta2", KUEUE),
    "workloads/v1beta1": Kind("workloads", f"/apis/{KUEUE}/v1beta1", KUEUE),
}
"""By the plural that the client's verbs take. Those from nodes on are read by `detnas doctor`, with
a user's rights; Kueue before 0.15 serves an older version alone."""
