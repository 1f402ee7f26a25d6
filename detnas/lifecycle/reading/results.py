"""Results as they come: each is verified once, before anything is built on it."""

from collections.abc import Callable
from typing import TypeVar

from detnas.ledger.trials import Verify
from detnas.records import keys
from detnas.records.results import Result
from detnas.store import Store
from detnas.store.artifacts import load_record

R = TypeVar("R", bound=Result)


class VerifiedResults:
    """Reads results, and verifies those that nobody has built on.

    Who built on one believed it. What became of its files since then, its readers find out by
    their digests: no finished work is done again because somebody moved what it left. One that is
    there at the first look may have come while nobody waited for it.

    Args:
        store: where the jobs lie.
        verify: asked, by folder, whether a new result is to be believed.
    """

    def __init__(self, store: Store, verify: Verify) -> None:
        self._store = store
        self._verify = verify
        self._awaited: set[str] = set()

    def read(
        self,
        folder: str,
        kind: type[R],
        *,
        awaited: bool = False,
        is_built_on: Callable[[R], bool] = lambda _: True,
    ) -> R | None:
        """Read a job's result; none where there is none that is to be believed.

        Args:
            folder: key of its folder.
            kind: what it finds.
            awaited: it is known to be new.
            is_built_on: asked of one that is there at the first look: whether later work was
                built on it.
        """
        result = load_record(self._store, keys.result_key(folder), kind)
        if result is None:
            self._awaited.add(folder)
            return None
        if awaited or folder in self._awaited or not is_built_on(result):
            if not self._verify(folder, result):
                return None
            self._awaited.discard(folder)
        return result
