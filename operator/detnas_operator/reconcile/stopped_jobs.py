"""The time of Jobs that were stopped: spent, and told by a later result in part or not at all.

Without it, a search that is stopped at the end of its budget would seem to have used less than
that, and would start again.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from detnas.plan.stages import DueJob, Verb
from detnas.records import keys
from detnas.records.results import DetectorResult, Result
from detnas.schema import Count, Schema
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists
from detnas_operator.reconcile.search_jobs import purpose

Object = dict[str, Any]


class StoppedJob(Schema):
    """A Job that was stopped.

    Attributes:
        verb: what it did.
        number: of the trial or phase.
        seconds: for which its pods had held their nodes, added up.
        until: when it was stopped; none where it was long before its job ended.
    """

    verb: Verb
    number: Count
    seconds: float = Field(ge=0)
    until: datetime | None = None


class StoppedJobs:
    """Those of one search, kept in its folder by their UIDs.

    Args:
        store: where the search lies.
        search: key of its folder.
        clock: what time it is.
    """

    def __init__(
        self,
        store: Store,
        search: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._search = search
        self._clock = clock
        self._folder = f"{search}/stopped"
        self._known: dict[str, StoppedJob] | None = None
        self._results: dict[int, Result] = {}

    def record(self, job: Object, seconds: float) -> None:
        """Take note of a Job, before it is deleted; one that never ran is not worth it.

        Args:
            job: which.
            seconds: for which its pods have held their nodes, added up.
        """
        uid, due = _uid(job), purpose(job)
        known = self._read()
        if uid in known or not seconds:
            return
        stopped = StoppedJob(verb=due.verb, number=due.number, seconds=seconds, until=self._clock())
        try:
            create_record(self._store, f"{self._folder}/{uid}.json", stopped)
        except AlreadyExists:  # written before, and the answer was lost
            self._known = None
        else:
            known[uid] = stopped

    def holds(self, job: Object) -> bool:
        """Whether a Job is known to be stopped: its time counts no further."""
        return _uid(job) in self._read()

    def by_purpose(self) -> Mapping[DueJob, list[StoppedJob]]:
        """Return them by what they were for."""
        found: dict[DueJob, list[StoppedJob]] = defaultdict(list)
        for stopped in self._read().values():
            found[DueJob(stopped.verb, stopped.number)].append(stopped)
        return found

    def trial_result(self, number: int) -> Result | None:
        """Return the result of a trial that is finished, read once."""
        if number not in self._results:
            key = keys.result_key(keys.trial_folder(self._search, number))
            if (result := load_record(self._store, key, DetectorResult)) is None:
                return None
            self._results[number] = result
        return self._results[number]

    def _read(self) -> dict[str, StoppedJob]:
        if self._known is None:
            found = {
                key.removeprefix(f"{self._folder}/").removesuffix(".json"): load_record(
                    self._store, key, StoppedJob
                )
                for key in self._store.list(f"{self._folder}/")
            }
            self._known = {uid: stopped for uid, stopped in found.items() if stopped is not None}
        return self._known


def untold_seconds(stopped: Sequence[StoppedJob], result: Result | None, pods: int = 1) -> float:
    """Return the pod seconds of stopped Jobs that the result of what they were for does not tell.

    A result tells of the attempts before its own what their checkpoints knew: that is what its
    activities have beyond the time of its own attempt. Who was stopped after its own attempt had
    begun stopped that one.

    Args:
        stopped: Jobs of one purpose.
        result: that job's, as far as its time is counted; none while it is not.
        pods: how many each of them had at a time.
    """
    spent = sum(one.seconds for one in stopped)
    if result is None:
        return spent
    own = (result.finished - result.started).total_seconds()
    told = max(0.0, sum(result.seconds.values()) - own)
    ends = [min(one.until, result.finished) for one in stopped if one.until is not None]
    told += max([0.0, *((end - result.started).total_seconds() for end in ends)])
    return max(0.0, spent - pods * told)


def _uid(job: Object) -> str:
    return str(job["metadata"]["uid"])
