"""Keeps up the claims to pools that are trained here, however long the queue of passes is.

A pass may be late: many searches wait for a worker, or the API server does not answer. What it
trains runs on meanwhile, and nobody may take the pool for abandoned.
"""

import logging
import threading
from collections.abc import Callable, Iterable

from detnas.errors import UserError
from detnas.lifecycle.pools.lease import HEARTBEAT_SECONDS, PoolLease
from detnas.plan.stages import Verb
from detnas_operator.reconcile.search_jobs import SearchJobs, has_ended, purpose

log = logging.getLogger(__name__)


class ClaimKeeper:
    """A thread that renews each claim which is held; it ends with the process.

    Args:
        claims: returns the claims of all searches, as they are now.
        seconds: between two looks; a claim is written no more often than its heartbeat asks for.
    """

    def __init__(
        self, claims: Callable[[], Iterable[PoolLease]], seconds: float = HEARTBEAT_SECONDS / 2
    ) -> None:
        self._claims = claims
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="claims", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is held stays held until its heartbeat is missed."""
        self._over.set()
        self._thread.join(self._seconds)

    def keep_up(self) -> None:
        """Renew what is held, once."""
        for claim in self._claims():
            try:
                claim.keep_up()
            except UserError as error:  # the search's own pass says so, too
                log.warning("a claim to a pool could not be renewed: %s", error)

    def _keep(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self.keep_up()
            except Exception:
                log.exception("claims to pools could not be renewed; it is tried again")


def trains_pool(jobs: SearchJobs) -> bool:
    """Whether a search may be training its pool: one of its Jobs for it has not ended.

    One that is being deleted counts until it is gone: its pods may not have stopped.
    """
    named = jobs.all().values()
    return any(purpose(job).verb is Verb.POOL and not has_ended(job) for job in named)
