"""Searches of several tenants of one operator, and what was asked of S3."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.cluster.api import SEARCHES, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Call
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually

OVER = ("Succeeded", "Failed")


def apply(
    cluster: ControlPlane, namespace: str, name: str, spec: dict[str, Any] | None = None, **of: Any
) -> Document:
    """Create a small search."""
    return cluster.api.create(manifest(name, spec, **of), namespace)


def status(cluster: ControlPlane, namespace: str, name: str) -> Document:
    """The status of a search; empty before there is one."""
    found: Document = cluster.api.get(SEARCHES, namespace, name).get("status", {})
    return found


def condition(cluster: ControlPlane, namespace: str, name: str, kind: str) -> Document:
    """A condition of a search; empty before there is one."""
    conditions = status(cluster, namespace, name).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})


def wait_until_over(
    cluster: ControlPlane, namespace: str, name: str, seconds: float = 180
) -> Document:
    """Wait until a search has ended, and return its status."""

    def ended() -> Document | None:
        found = status(cluster, namespace, name)
        return found if found.get("phase") in OVER else None

    return eventually(ended, seconds) or {}


def wait_until_said(
    cluster: ControlPlane,
    namespace: str,
    name: str,
    kind: str,
    values: tuple[str, ...],
    seconds: float = 120,
) -> Document:
    """Wait until a condition has one of these values, and return it."""

    def said() -> Document | None:
        found = condition(cluster, namespace, name, kind)
        return found if found.get("status") in values else None

    return eventually(said, seconds) or {}


def keys_asked_for(calls: Iterable[Call]) -> set[str]:
    """Buckets with keys, or with the prefixes that were listed, of all calls of an S3 proxy."""
    return {_key(call) for call in calls if call.server == "s3"}


def _key(call: Call) -> str:
    place = unquote(call.path).strip("/")
    prefix = parse_qs(call.query).get("prefix", [""])[0]
    return f"{place}/{prefix}" if prefix else place
