"""Where a search lies: where it was accepted, whatever the settings say of new ones by now."""

import re
from dataclasses import dataclass
from typing import Any

from detnas.errors import UserError
from detnas.reasons import Reason, ReasonCode
from detnas.records import keys
from detnas.spec.manifest import SearchSpec
from detnas_operator.configuration.s3_location import S3Location
from detnas_operator.configuration.settings import StorageSettings
from detnas_operator.configuration.storage_policy import SHARED, pools_namespace, store_root


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search keeps its data.

    Attributes:
        root: URI of its store's root.
        pools: what stands for the namespace in its pool's key.
    """

    root: str
    pools: str


def place(resource: dict[str, Any], spec: SearchSpec, settings: StorageSettings) -> Place | Reason:
    """Return where a search lies, if it may be used.

    The status says where it was accepted: only the operator writes that. Data does not move when
    an administrator changes where new searches go.

    Args:
        resource: the custom resource as the API serves it.
        spec: its manifest's.
        settings: where searches may keep their data.
    """
    namespace: str = resource["metadata"]["namespace"]
    accepted = _accepted_root(resource)
    named = spec.storage.uri if spec.storage else None
    root = store_root(accepted or named, settings, namespace)
    if isinstance(root, Reason):
        return _left_behind(resource) if accepted else root
    pools = _accepted_pools(resource, root)
    if pools == SHARED and not settings.shared_pools:
        return Reason(
            ReasonCode.POOL_FORBIDDEN,
            f"the search's teachers lie in {_pool(resource)}, shared by all namespaces, which the "
            "operator's storage.sharedPools does not allow any more; ask the administrator to set "
            "it again: data does not move by itself",
        )
    return Place(root, pools or pools_namespace(namespace, shared=settings.shared_pools))


def _accepted_root(resource: dict[str, Any]) -> str:
    """The root below which the folder lies that the status names; empty where it names none."""
    return said_folder(resource)[0]


def said_folder(resource: dict[str, Any]) -> tuple[str, str]:
    """Return root and key of the folder that the status names; empty where it names none.

    Only the operator writes the status, or whoever restores it: then the folder is that of an
    earlier resource of this name.
    """
    metadata = resource["metadata"]
    beginning = f"{keys.searches_folder(metadata['namespace'])}/{metadata['name']}-"
    found = re.fullmatch(f"(.+)/({re.escape(beginning)}[0-9a-f]{{8}})", _folder(resource))
    return (found[1], found[2]) if found else ("", "")


def own_folder(resource: dict[str, Any]) -> str:
    """Return the key of a search's folder, as far as the resource alone says it."""
    metadata = resource["metadata"]
    _, said = said_folder(resource)
    return said or keys.search_folder(metadata["namespace"], metadata["name"], metadata["uid"])


def _accepted_pools(resource: dict[str, Any], root: str) -> str:
    """What stands for the namespace in the key of the pool that the status names, if it does."""
    try:
        path = S3Location.parse(_pool(resource)).below(S3Location.parse(root))
    except UserError:
        return ""
    namespace = str(resource["metadata"]["namespace"])
    return path[0] if path and path[0] in (namespace, SHARED) else ""


def _left_behind(resource: dict[str, Any]) -> Reason:
    return Reason(
        ReasonCode.STORAGE_FORBIDDEN,
        f"the search lies in {_folder(resource)}, which the operator's storage.allowed does not "
        "reach any more; ask the administrator to add its place there again: data does not move "
        "by itself",
    )


def _folder(resource: dict[str, Any]) -> str:
    return str((resource.get("status") or {}).get("folder") or "")


def _pool(resource: dict[str, Any]) -> str:
    teachers = (resource.get("status") or {}).get("teachers") or {}
    return str(teachers.get("pool") or "")
