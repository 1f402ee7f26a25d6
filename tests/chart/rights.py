"""What the operator is allowed, and how rules are read."""

from collections.abc import Iterable

from tests.chart.rendering import Document

WATCHING = {
    "detnas.dev/detnassearches": {"get", "list", "watch", "patch"},
    "detnas.dev/detnassearches/status": {"get", "patch"},
    "batch/jobs": {"get", "list", "watch"},
    "jobset.x-k8s.io/jobsets": {"get", "list", "watch"},
    "/pods": {"get", "list"},
    "/events": {"list", "create"},
}
"""What the operator needs wherever it watches; a right that is added has to be added here."""

WORKING = {
    "detnas.dev/detnassearches/finalizers": {"update"},
    "batch/jobs": {"create", "patch", "delete"},
    "jobset.x-k8s.io/jobsets": {"create", "patch", "delete"},
    "/pods": {"delete"},
    "/pods/log": {"get"},
    "/services": {"get", "create"},
    "kueue.x-k8s.io/workloads": {"list"},
}
"""What it needs besides where searches run."""

ALLOWED = {
    name: WATCHING.get(name, set()) | WORKING.get(name, set()) for name in WATCHING | WORKING
}
"""All that it may do in a namespace of searches."""


def granted(rules: Iterable[Document]) -> dict[str, set[str]]:
    """Verbs by group and resource."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        assert rule.keys() == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found
