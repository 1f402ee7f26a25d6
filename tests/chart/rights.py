"""What the operator is allowed, and how rules are read."""

from collections.abc import Iterable

from tests.chart.rendering import Document

ALLOWED = {
    "detnas.dev/detnassearches": {"get", "list", "watch", "patch"},
    "detnas.dev/detnassearches/status": {"get", "patch"},
    "detnas.dev/detnassearches/finalizers": {"update"},
    "batch/jobs": {"get", "list", "watch", "create", "patch", "delete"},
    "/pods": {"get", "list"},
    "/pods/log": {"get"},
    "/services": {"get", "create"},
    "/events": {"list", "create"},
}
"""All that the operator needs; a right that is added has to be added here."""


def granted(rules: Iterable[Document]) -> dict[str, set[str]]:
    """Verbs by group and resource."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        assert rule.keys() == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found
