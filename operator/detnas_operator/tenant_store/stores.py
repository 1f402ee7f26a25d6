"""The stores of all searches: one client, bounded in what it reads and how long it waits.

Tenants' jobs write what the operator reads. An object of any size must not fill its memory, and a
server that does not answer for one search must not delay the others.
"""

from collections import defaultdict
from functools import cache, partial
from threading import Lock

from detnas.store.in_parallel import CONCURRENT_REQUESTS
from detnas.store.s3 import ReadLimits, S3Store
from detnas.store.s3_client import Client, Patience
from detnas_operator.configuration.storage import POOLS, SEARCHES, S3Location, pools_namespace
from detnas_operator.tenant_store.confined_store import ConfinedStore
from detnas_operator.tenant_store.fast_client import fast_client_from_environment
from detnas_operator.tenant_store.reachability import Reachability

PATIENCE = Patience(connect=5, read=15, attempts=2)
"""A pass that fails is repeated, so that few attempts are enough: these, after obstore's own."""

_MIB = 1 << 20
_MAX_LISTED = 200_000
_MAX_CONNECTIONS = 512


def largest_record(key: str) -> int:
    """Return how many bytes an object may have: hundreds of trials have more than one result."""
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
        workers: concurrent passes.
    """

    def __init__(self, *, shared_pools: bool, workers: int = 1) -> None:
        self._shared_pools = shared_pools
        self._opening, self._making = Lock(), Lock()
        self._checked: set[str] = set()
        self._checking: defaultdict[str, Lock] = defaultdict(Lock)
        self._reachable: defaultdict[tuple[str, str], Reachability] = defaultdict(Reachability)
        connections = min(workers * CONCURRENT_REQUESTS, _MAX_CONNECTIONS)
        self._client = cache(partial(fast_client_from_environment, PATIENCE, connections))

    def open(self, root: str, namespace: str) -> ConfinedStore:
        """Return the store at a root for a namespace; its server is checked once.

        Args:
            root: URI that is allowed.
            namespace: whose folders may be used.

        Raises:
            StoreError: it cannot be used.
        """
        location = S3Location.parse(root)
        store = S3Store(
            location.bucket,
            "/".join(location.path),
            make_client=self.client,
            limits=ReadLimits(largest_record, most_values, _MAX_LISTED),
        )
        with self._opening:
            reachability = self._reachable[root, namespace]
            checking = self._checking[root]
        if root not in self._checked:
            self._check(root, store, checking)
        pools = {namespace, pools_namespace(namespace, shared=self._shared_pools)}
        own = (f"{namespace}/{SEARCHES}/", *(f"{name}/{POOLS}/" for name in sorted(pools)))
        return ConfinedStore(store, own, reachability)

    def _check(self, root: str, store: S3Store, checking: Lock) -> None:
        """Check a store once for all searches."""
        with self._opening:
            reachability = self._reachable[root, ""]
        with checking:  # those that wait here get the first one's answer
            if root in self._checked:
                return
            with reachability.request():
                store.probe()
            self._checked.add(root)

    def client(self) -> Client:
        """Return the client that all stores share."""
        with self._making:  # concurrent calls would make two
            return self._client()
