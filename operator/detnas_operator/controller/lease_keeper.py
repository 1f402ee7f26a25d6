"""Renews the leases of pools that are trained here, however long passes wait for a worker.

A pass may be late: many searches are due, or the API server does not answer. The pool's Job keeps
running meanwhile, and no other search may take over the pool.
"""

import logging
import threading
from collections.abc import Callable, Iterable

from detnas.errors import UserError
from detnas.lifecycle.pools.lease import HEARTBEAT_SECONDS, PoolLease

log = logging.getLogger(__name__)


class LeaseKeeper:
    """A thread that renews each lease that is held; it ends with the process.

    Args:
        leases: returns the leases of all searches, as they are now.
        seconds: between two rounds; a lease is written no more often than its heartbeat requires.
    """

    def __init__(
        self, leases: Callable[[], Iterable[PoolLease]], seconds: float = HEARTBEAT_SECONDS / 2
    ) -> None:
        self._leases = leases
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    def start(self) -> None:
        """Renew the leases from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; a lease that is held stays so until its heartbeat is missed."""
        self._stopped.set()
        self._thread.join(self._seconds)

    def renew(self) -> None:
        """Renew each lease that is held, once."""
        for lease in self._leases():
            try:
                lease.renew()
            except UserError as error:  # the search's next pass reports it, too
                log.warning("a pool's lease could not be renewed: %s", error)

    def _keep(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.renew()
            except Exception:
                log.exception("leases of pools could not be renewed; trying again")
