"""The time of Jobs that were stopped before they had a result: spent, and told by no result.

Without it, a search that is stopped at the end of its budget would seem to have used less than
that, and would start again.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from detnas.plan.stages import DueJob, Verb
from detnas.schema import Count, Schema
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists
from detnas_operator.passes.search_jobs import purpose

Object = dict[str, Any]


class StoppedJob(Schema):
    """A Job that was stopped.

    Attributes:
        verb: what it did.
        number: of the trial or phase.
        seconds: for which its pods had held their nodes, added up.
    """

    verb: Verb
    number: Count
    seconds: float = Field(ge=0)


class StoppedJobs:
    """Those of one search, kept in its folder by their UIDs.

    Args:
        store: where the search lies.
        search: key of its folder.
    """

    def __init__(self, store: Store, search: str) -> None:
        self._store = store
        self._folder = f"{search}/stopped"
        self._known: dict[str, StoppedJob] | None = None

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
        stopped = StoppedJob(verb=due.verb, number=due.number, seconds=seconds)
        try:
            create_record(self._store, f"{self._folder}/{uid}.json", stopped)
        except AlreadyExists:  # written before, and the answer was lost
            self._known = None
        else:
            known[uid] = stopped

    def holds(self, job: Object) -> bool:
        """Whether a Job is known to be stopped: its time counts no further."""
        return _uid(job) in self._read()

    def times(self) -> Iterator[tuple[DueJob, float]]:
        """Yield what each was for, and its pod seconds."""
        for stopped in self._read().values():
            yield DueJob(stopped.verb, stopped.number), stopped.seconds

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


def _uid(job: Object) -> str:
    return str(job["metadata"]["uid"])
