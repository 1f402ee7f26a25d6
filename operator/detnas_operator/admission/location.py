"""Where a search is stored; later changes of the settings do not move it."""

import re
from dataclasses import dataclass

from detnas.errors import UserError
from detnas.reasons import Reason, ReasonCode
from detnas.records import keys
from detnas.spec.manifest import SearchSpec
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.storage import (
    SHARED,
    S3Location,
    StorageSettings,
    pools_namespace,
    store_root,
)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a search stores its data.

    Attributes:
        root: URI of its store's root.
        pools_namespace: first part of its pool's key: the namespace, or ``shared``.
    """

    root: str
    pools_namespace: str


def location(search: SearchView, spec: SearchSpec, settings: StorageSettings) -> Location | Reason:
    """Return where a search is stored, if it may be used.

    The status names where it was accepted: only the operator writes that. Data does not move when
    an administrator changes where new searches are stored.

    Args:
        search: the custom resource.
        spec: its manifest's.
        settings: where searches may store their data.
    """
    accepted, _ = reported_folder(search)
    named = spec.storage.uri if spec.storage else None
    root = store_root(accepted or named, settings, search.namespace)
    if isinstance(root, Reason):
        return _unreachable(search) if accepted else root
    pools = _accepted_pools(search, root)
    if pools == SHARED and not settings.shared_pools:
        return Reason(
            ReasonCode.POOL_FORBIDDEN,
            f"the search's teachers are stored in {search.pool}, shared by all namespaces, which "
            "the operator's storage.sharedPools does not allow any more; ask the administrator to "
            "set it again: data does not move automatically",
        )
    return Location(root, pools or pools_namespace(search.namespace, shared=settings.shared_pools))


def reported_folder(search: SearchView) -> tuple[str, str]:
    """Return root and key of the folder that the status names; empty if it names none.

    Only the operator writes the status, or a process that restores it: then the folder is that of
    an earlier resource of this name.
    """
    beginning = f"{keys.searches_folder(search.namespace)}/{search.name}-"
    match = re.fullmatch(f"(.+)/({re.escape(beginning)}[0-9a-f]{{8}})", search.folder)
    return (match[1], match[2]) if match else ("", "")


def own_folder(search: SearchView) -> str:
    """Return the key of a search's folder, by the resource alone."""
    _, reported = reported_folder(search)
    return reported or keys.search_folder(search.namespace, search.name, search.uid)


def _accepted_pools(search: SearchView, root: str) -> str:
    """Return the first part of the key of the pool in the status; empty if there is none."""
    try:
        path = S3Location.parse(search.pool).below(S3Location.parse(root))
    except UserError:
        return ""
    return path[0] if path and path[0] in (search.namespace, SHARED) else ""


def _unreachable(search: SearchView) -> Reason:
    return Reason(
        ReasonCode.STORAGE_FORBIDDEN,
        f"the search is stored in {search.folder}, which the operator's storage.allowed does not "
        "reach any more; ask the administrator to add its location there again: data does not "
        "move automatically",
    )
