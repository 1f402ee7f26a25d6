"""Who trains a pool: a record with a heartbeat, so that one search does and the others wait."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from detnas.schema import Schema
from detnas.store import Store, StoredObject
from detnas.store.artifacts import canonical_json, parse_record
from detnas.store.errors import AlreadyExists, VersionConflict

HEARTBEAT_SECONDS = 10.0
STOPPED_SECONDS = 60.0


class Claim(Schema):
    """Who trains the pool.

    Attributes:
        holder: a search on a machine.
        heartbeat: when it last said so; for people, and to make every heartbeat another record.
        released: it no longer does.
    """

    holder: str
    heartbeat: datetime
    released: bool = False


class PoolLease:
    """One search's side of a pool's claim.

    Whether a heartbeat has stopped is judged by how long the record stayed the same on our own
    clock: the machines' clocks may differ.

    Args:
        store: where the pool lies.
        key: of the claim.
        holder: who we are; the same after a restart, so that we go on at once.
        clock: seconds, rising.
        now: for the record.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        holder: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._clock = clock
        self._now = now
        self._lock = threading.RLock()
        self._beaten: float | None = None
        self._may_be_ours = True  # from an earlier process
        self._seen: tuple[str, float] | None = None
        self.other: str | None = None
        """Who else holds it, as last seen."""

    @property
    def held(self) -> bool:
        """Whether it is ours, as far as we know."""
        return self._beaten is not None

    def was_last_held(self) -> bool:
        """Whether nobody else has held it since we did; asks the store, for any earlier process."""
        stored = self._store.get(self._key)
        claim = None if stored is None else self._parsed(stored)
        if claim is None or claim.holder != self._holder:
            self._may_be_ours = False
            return False
        self._may_be_ours = not claim.released
        return True

    def keep_up(self) -> None:
        """Renew it if it is ours; from any thread, beside whoever takes and releases it."""
        with self._lock:
            if self.held:
                self.hold()

    def hold(self) -> bool:
        """Take the claim, or keep it up; return whether it is ours now.

        Called again and again; it writes at most every 10 seconds, and takes over a claim that
        stayed the same for a minute.
        """
        with self._lock:
            return self._hold()

    def _hold(self) -> bool:
        if self._beaten is not None and self._clock() - self._beaten < HEARTBEAT_SECONDS:
            return True
        stored = self._store.get(self._key)
        age = self._age_of_ours(stored)
        if age < HEARTBEAT_SECONDS:
            self._beaten, self.other = self._clock() - age, None
            self._may_be_ours = True
            return True
        ours = stored is None or self._may_take(stored)
        if ours:
            ours = self._write(stored, self._claim())
        self._beaten = self._clock() if ours else None
        self._may_be_ours = ours
        return ours

    def release(self, before: Claim | None = None) -> None:
        """Let others have it at once, also where an earlier process of ours took it.

        Args:
            before: what it was before we took it, where we did nothing with it: it is then still
                that holder who had it last.
        """
        with self._lock:
            self._release(before)

    def _release(self, before: Claim | None) -> None:
        if self._beaten is None and not self._may_be_ours:
            return
        self._beaten = None
        stored = self._store.get(self._key)
        claim = None if stored is None else self._parsed(stored)
        if stored is not None and claim and claim.holder == self._holder and not claim.released:
            self._write(stored, self._claim(released=True) if before is None else _ended(before))
        self._may_be_ours = False

    def _age_of_ours(self, stored: StoredObject | None) -> float:
        """Seconds since a heartbeat of ours, by an earlier process; infinite without one.

        While it is fresh it is not written again: a process that dies soon after every start
        would otherwise do nothing but this.
        """
        claim = None if stored is None else self._parsed(stored)
        if claim is None or claim.released or claim.holder != self._holder:
            return float("inf")
        age = (self._now() - claim.heartbeat).total_seconds()
        return age if age >= 0 else float("inf")  # from the future: another machine's clock

    def _may_take(self, stored: StoredObject) -> bool:
        claim = self._parsed(stored)
        if claim.released or claim.holder == self._holder:
            return True
        self.other = claim.holder
        if self._seen is None or self._seen[0] != stored.version:
            self._seen = (stored.version, self._clock())
        return self._clock() - self._seen[1] > STOPPED_SECONDS

    def _claim(self, *, released: bool = False) -> Claim:
        return Claim(holder=self._holder, heartbeat=self._now(), released=released)

    def _write(self, before: StoredObject | None, claim: Claim) -> bool:
        try:
            if before is None:
                self._store.put_if_absent(self._key, canonical_json(claim))
            else:
                self._store.put_if_match(self._key, canonical_json(claim), before.version)
        except (AlreadyExists, VersionConflict):
            taken = self._store.get(self._key)
            self.other = self._parsed(taken).holder if taken is not None else self.other
            return False
        self.other = None
        return True

    def _parsed(self, stored: StoredObject) -> Claim:
        return parse_record(stored.data, f"{self._store.uri}/{self._key}", Claim)


def _ended(claim: Claim) -> Claim:
    return claim.model_copy(update={"released": True})
