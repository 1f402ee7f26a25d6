"""The stores of all searches: one client for all, bounded in what it reads and how long it waits.

A tenant's jobs write what the operator reads. An object of any size must not fill its memory, and
a server that does not answer for one search must not keep it from the others.
"""

from functools import cache, partial
from threading import Lock

from detnas.search.folded import LARGEST_FOLDED
from detnas.store.s3 import Limits, S3Store
from detnas.store.s3_client import Patience, client_from_environment
from detnas_operator.configuration.s3_location import S3Location
from detnas_operator.configuration.storage_policy import POOLS, SEARCHES, pools_namespace
from detnas_operator.passes.confined_store import ConfinedStore

PATIENCE = Patience(connect=5, read=15, attempts=3)
"""A pass that fails is made again, so that few attempts are enough."""

_MIB = 1 << 20
_LISTED = 200_000


def largest_record(key: str) -> int:
    """Return how many bytes an object may have: hundreds of trials have more than one result."""
    if key.endswith("/ledger/folded.json"):
        return LARGEST_FOLDED
    return 4 * _MIB if _is_of_many_trials(key) else _MIB


def most_values(key: str) -> int:
    """Return how many JSON values an object may have: a trial of an R101 has two hundred."""
    return 60_000 if _is_of_many_trials(key) else 10_000


def _is_of_many_trials(key: str) -> bool:
    return "/ledger/" in key or "/inherited/" in key


class Stores:
    """Opens the stores of searches.

    Args:
        shared_pools: pools are shared between namespaces.
    """

    def __init__(self, *, shared_pools: bool) -> None:
        self._shared_pools = shared_pools
        self._opening = Lock()
        self._sound: set[str] = set()
        self._client = cache(partial(client_from_environment, PATIENCE))

    def open(self, root: str, namespace: str) -> ConfinedStore:
        """Return the store at a root, which keeps its promises, for searches of a namespace.

        Args:
            root: URI; it is allowed.
            namespace: whose folders may be used.

        Raises:
            StoreError: it can not be used.
        """
        location = S3Location.parse(root)
        store = S3Store(
            location.bucket,
            "/".join(location.path),
            make_client=self._make_client,
            limits=Limits(largest_record, most_values, _LISTED),
        )
        if root not in self._sound:
            store.probe()
            self._sound.add(root)
        pools = {namespace, pools_namespace(namespace, shared=self._shared_pools)}
        own = (f"{namespace}/{SEARCHES}/", *(f"{name}/{POOLS}/" for name in sorted(pools)))
        return ConfinedStore(store, own)

    def _make_client(self) -> object:
        with self._opening:  # two at once would make two
            return self._client()
