"""Which locations in S3 a search may use: its own below the allowed roots, and no other's."""

from detnas.errors import UserError
from detnas.reasons import Reason, ReasonCode
from detnas.resource.transitions import APPLIED_AGAIN
from detnas_operator.configuration.s3_location import S3Location
from detnas_operator.configuration.settings import StorageSettings

POOLS = "pools"
SEARCHES = "searches"
SHARED = "shared"
"""Takes the namespace's place in the key of a pool that all namespaces share."""

_POOL = (ReasonCode.POOL_INVALID, ReasonCode.POOL_FORBIDDEN)
_WARM_START = (ReasonCode.WARM_START_INVALID, ReasonCode.WARM_START_FORBIDDEN)


def store_root(uri: str | None, settings: StorageSettings, namespace: str) -> str | Reason:
    """Return the URI of the store's root for a search.

    Args:
        uri: its ``spec.storage.uri``; None or empty if it names none.
        settings: where searches may store their data.
        namespace: of the search.
    """
    if not uri:
        if settings.default:
            return S3Location.parse(settings.default).uri
        return Reason(
            ReasonCode.STORAGE_MISSING, f"spec.storage.uri is missing; {_name(_allowed(settings))}"
        )
    try:
        location = S3Location.parse(uri)
    except UserError as error:
        return Reason(ReasonCode.STORAGE_INVALID, f"spec.storage.uri: {error}, {APPLIED_AGAIN}")
    roots = [*settings.roots, *map(S3Location.parse, filter(None, [settings.default]))]
    if any(_may_be_root(location.below(root), namespace) for root in roots):
        return location.uri
    problem = f"spec.storage.uri: {uri!r} is not allowed in namespace {namespace}"
    return Reason(
        ReasonCode.STORAGE_FORBIDDEN, f"{problem}; {_name(_allowed(settings) + _own(namespace))}"
    )


def pool_key(uri: str, root: str, namespace: str, *, shared: bool) -> str | Reason:
    """Return the store's key of the pool that ``spec.teachers.pool`` names.

    Args:
        uri: of the pool's folder.
        root: URI of the search's store.
        namespace: of the search.
        shared: pools are shared between namespaces; then theirs may be named as well.
    """
    folders = [(namespace, POOLS), *([(SHARED, POOLS)] if shared else [])]
    return _child(uri, "spec.teachers.pool", _POOL, S3Location.parse(root), folders)


def search_key(uri: str, root: str, namespace: str) -> str | Reason:
    """Return the store's key of the search that ``spec.warmStart.from`` names by URI.

    Args:
        uri: of the search's folder.
        root: URI of the new search's store.
        namespace: of the new search; another namespace's searches are not read.
    """
    folders = [(namespace, SEARCHES)]
    return _child(uri, "spec.warmStart.from", _WARM_START, S3Location.parse(root), folders)


def pools_namespace(namespace: str, *, shared: bool) -> str:
    """Return what represents the namespace in the key of a search's pool."""
    return SHARED if shared else namespace


def _may_be_root(path: tuple[str, ...] | None, namespace: str) -> bool:
    """Whether a store may begin here, by what leads here from a root that is allowed.

    A search writes ``<namespace>/searches``, ``<namespace>/pools`` and the probe below its root.
    Below an allowed root every first part may be the folder of a namespace, today's or a later
    one's; so only the search's own may hold another root, and not among its searches and pools.
    """
    if path is None:
        return False
    return not path or (path[0] == namespace and not {POOLS, SEARCHES} & set(path))


def _child(
    uri: str,
    field: str,
    reasons: tuple[ReasonCode, ReasonCode],
    root: S3Location,
    folders: list[tuple[str, str]],
) -> str | Reason:
    invalid, forbidden = reasons
    try:
        path = S3Location.parse(uri).below(root)
    except UserError as error:
        return Reason(invalid, f"{field}: {error}, {APPLIED_AGAIN}")
    if path is not None and len(path) == 3 and path[:2] in folders:
        return "/".join(path)
    right = " or ".join(f"{root.uri}/{'/'.join(folder)}/NAME" for folder in folders)
    return Reason(forbidden, f"{field}: {uri!r} is not allowed here; {_name(right)}")


def _name(right: str) -> str:
    return f"name {right}, {APPLIED_AGAIN}"


def _allowed(settings: StorageSettings) -> str:
    return " or ".join(settings.allowed)


def _own(namespace: str) -> str:
    if namespace in (POOLS, SEARCHES):
        return ""
    return f"; or a folder {namespace} right there or below it, none of them searches or pools"
