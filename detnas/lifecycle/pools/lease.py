"""The lease of a pool: one search trains it, and the others wait."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from detnas.schema import Schema
from detnas.store import Store, StoredObject
from detnas.store.artifacts import load_record
from detnas.store.errors import AlreadyExists, VersionConflict
from detnas.store.record_format import decode_record, encode_record

HEARTBEAT_SECONDS = 10.0
STOPPED_SECONDS = 60.0


class LeaseRecord(Schema):
    """`claim.json` in a pool's folder: who may train the pool.

    Attributes:
        holder: a search on a machine or in a cluster.
        heartbeat: time of the last one; for people, and so that every heartbeat changes the record.
        released: the holder has released it.
    """

    holder: str
    heartbeat: datetime
    released: bool = False


class PoolLease:
    """One search's side of a pool's lease: the right to train it.

    Another holder's lease expires when its record has not changed for a minute by our own clock:
    the machines' clocks may differ.

    Args:
        store: where the pool is stored.
        key: of the lease's record.
        holder: names this side; the same after a restart, which then continues at once.
        clock: monotonic, in seconds.
        now: time of the record.

    Attributes:
        other: the other holder, as last read.
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
        self._renewed: float | None = None
        self._may_be_ours = True  # from an earlier process
        self._seen: tuple[str, float] | None = None
        self.other: str | None = None

    @property
    def held(self) -> bool:
        """Whether it was ours when it was last taken or renewed."""
        return self._renewed is not None

    def was_last_held(self) -> bool:
        """Whether this side, or its earlier process, was the last holder; reads the store."""
        record = self._load()
        if record is None or record.holder != self._holder:
            self._may_be_ours = False
            return False
        self._may_be_ours = not record.released
        return True

    def renew(self) -> None:
        """Renew it if it is held; may be called from any thread."""
        with self._lock:
            if self.held:
                self.hold()

    def hold(self) -> bool:
        """Take or renew the lease; return whether it is held.

        Writes at most every 10 seconds; takes a lease whose record has not changed for a minute.
        """
        with self._lock:
            return self._hold()

    def _hold(self) -> bool:
        if self._renewed is not None and self._clock() - self._renewed < HEARTBEAT_SECONDS:
            return True
        stored = self._store.get(self._key)
        age = self._age_of_ours(stored)
        if age < HEARTBEAT_SECONDS:
            self._renewed, self.other = self._clock() - age, None
            self._may_be_ours = True
            return True
        ours = stored is None or self._may_take(stored)
        if ours:
            ours = self._write(stored, self._record())
        self._renewed = self._clock() if ours else None
        self._may_be_ours = ours
        return ours

    def release(self, before: LeaseRecord | None = None) -> None:
        """Release it, even if an earlier process took it.

        Args:
            before: the record before we took it, if the lease was not used: that holder then
                remains the last one.
        """
        with self._lock:
            self._release(before)

    def _release(self, before: LeaseRecord | None) -> None:
        if self._renewed is None and not self._may_be_ours:
            return
        self._renewed = None
        stored = self._store.get(self._key)
        record = None if stored is None else self._parsed(stored)
        if stored and record and record.holder == self._holder and not record.released:
            released = before or self._record()
            self._write(stored, released.model_copy(update={"released": True}))
        self._may_be_ours = False

    def _age_of_ours(self, stored: StoredObject | None) -> float:
        """Seconds since a heartbeat of an earlier process of ours; infinite without one.

        While it is fresh it is not written again: a process that dies soon after every start
        would otherwise do nothing else.
        """
        record = None if stored is None else self._parsed(stored)
        if record is None or record.released or record.holder != self._holder:
            return float("inf")
        age = (self._now() - record.heartbeat).total_seconds()
        return age if age >= 0 else float("inf")  # from the future: another machine's clock

    def _may_take(self, stored: StoredObject) -> bool:
        record = self._parsed(stored)
        if record.released or record.holder == self._holder:
            return True
        self.other = record.holder
        if self._seen is None or self._seen[0] != stored.version:
            self._seen = (stored.version, self._clock())
        return self._clock() - self._seen[1] > STOPPED_SECONDS

    def _record(self) -> LeaseRecord:
        return LeaseRecord(holder=self._holder, heartbeat=self._now())

    def _write(self, before: StoredObject | None, record: LeaseRecord) -> bool:
        try:
            if before is None:
                self._store.put_if_absent(self._key, encode_record(record))
            else:
                self._store.put_if_match(self._key, encode_record(record), before.version)
        except (AlreadyExists, VersionConflict):
            taken = self._load()
            self.other = taken.holder if taken is not None else self.other
            return False
        self.other = None
        return True

    def _load(self) -> LeaseRecord | None:
        return load_record(self._store, self._key, LeaseRecord)

    def _parsed(self, stored: StoredObject) -> LeaseRecord:
        return decode_record(stored.data, f"{self._store.uri}/{self._key}", LeaseRecord)
