"""Searches that run to their end within a test: a scheduler whose jobs have results at once."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from detnas.ledger import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.lifecycle.pools.lease import STOPPED_SECONDS
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import SearchRecord, StoredSearch, record_search, versions
from detnas.lifecycle.search_status import search_status
from detnas.lifecycle.session import SearchSession
from detnas.lifecycle.status import SearchStatus
from detnas.plan.digests import local_uid
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import Request
from detnas.records.results import DetectorResult, Result
from detnas.records.verbs import Verb
from detnas.spec.loading import read_manifest
from detnas.store import Store
from detnas.store.artifacts import create_record, publish_file
from detnas.store.record_format import decode_record
from tests.cluster.searches import manifest
from tests.detnas.searches.fake_trainer import answer

Answer = Callable[[Result], Result]
TUNED = {"finetune": {"epochs": 1}}
WARM_START = {"warmStart": {"from": "one"}}


def tiny(
    store: Store, name: str, spec: dict[str, Any] | None = None, **search: Any
) -> StoredSearch:
    """Begin a search of six trials; `spec` replaces sections, keywords fields of `spec.search`."""
    document = manifest(name, spec, **search)
    document["spec"]["dataset"]["source"] = {"directory": "data"}
    read = read_manifest(document, name)
    uid, pool = local_uid(read), read.spec.teachers.pool
    folder = keys.search_folder("local", name, uid)
    existing = pool_key(pool, store.uri) if pool else None
    requests = SearchRequests(read, folder, Path("/"), existing_pool=existing)
    data = requests.data
    record = SearchRecord(uid=uid, folder="/", data=data, manifest=read, versions=versions())
    record_search(store, folder, record)
    return StoredSearch(store, requests)


def session_of(search: StoredSearch, **options: Any) -> SearchSession:
    """Return a session as a new process begins it: its state is read."""
    session = SearchSession(search, search.requests.search, **options)
    session.refresh()
    return session


@dataclass
class Scheduler:
    """A scheduler that does one job after the other itself.

    Like a real one, it gives a job up whose attempts leave no valid result.

    Attributes:
        scratch: a folder for the jobs.
        answers: changes the results of jobs, by their verb.
        files: further artifacts of jobs, by their verb: content by role.
        unanswered: trials that never end.
        done: the jobs that ran.
    """

    scratch: Path
    answers: dict[Verb, Answer] = field(default_factory=dict)
    files: dict[Verb, dict[str, bytes]] = field(default_factory=dict)
    unanswered: Collection[int] = ()
    done: list[JobId] = field(default_factory=list)

    def run(self, search: StoredSearch) -> SearchState:
        """Run a search to its end, or until only unanswered trials are left."""
        seconds = count(step=STOPPED_SECONDS)  # so that a dead holder's lease expires at once
        session, ran = session_of(search, clock=lambda: next(seconds)), Counter(self.done)
        while True:
            session.resolve_supplied()
            decided = session.plan()
            due = [job for job in decided.due if not self._is_stuck(job)]
            over = decided.phase.is_over
            if over or not (due or decided.proposals):
                session.release_pool()
                return session.state
            for job in due:
                while job.verb is Verb.POOL and not session.holds_pool():
                    pass
                if self.done.count(job) > ran.get(job, 0) + session.spec.limits.retries:
                    session.fail(job, "no valid result", datetime.now(UTC))
                    continue
                self.finish(search.store, job, session.request(job))
            for job in session.propose(decided.proposals):
                self.finish(search.store, job, session.job_folder(job))
            session.refresh()
            session.tidy()

    def prepare(self, search: StoredSearch) -> None:
        """Run the data check of a search, and nothing else."""
        folder = keys.prepare_folder(search.requests.search)
        if search.store.size(keys.result_key(folder)) is None:
            job = JobId(Verb.PREPARE)
            self.finish(search.store, job, session_of(search).request(job))

    def finish(self, store: Store, job: JobId, folder: str) -> None:
        """Write the result of a requested job."""
        if self._is_stuck(job):
            return
        self.done.append(job)
        stored = store.get(keys.request_key(folder))
        assert stored is not None
        result = answer(store, decode_record(stored.data, folder, Request), self.scratch)
        change = self.answers.get(job.verb, lambda same: same)
        files = self.files.get(job.verb, {}).items()
        more = {role: self._publish(store, folder, content) for role, content in files}
        result = change(result.model_copy(update={"files": result.files | more}))
        create_record(store, keys.result_key(folder), result)

    def ran(self, verb: Verb) -> list[int]:
        """Return the numbers of the jobs of a kind that ran."""
        return [job.number for job in self.done if job.verb is verb]

    def _publish(self, store: Store, folder: str, content: bytes) -> Artifact:
        path = self.scratch / "artifact"
        path.write_bytes(content)
        return publish_file(store, folder, path, "json")

    def _is_stuck(self, job: JobId) -> bool:
        return job.verb.is_trial and job.number in self.unanswered


def entries(search: StoredSearch, state: SearchState) -> list[LedgerEntry]:
    """Return its finished trials, in the order of their numbers."""
    assert state.scorer is not None
    return list(read_entries(search.store, search.requests.search, state.scorer))


def reread(search: StoredSearch) -> SearchState:
    """Return its state as a new process reads it."""
    return SearchReader(search.store, search.requests).read()


def status(search: StoredSearch) -> SearchStatus:
    """Return its status as a new process reads it."""
    return search_status(search, reread(search))


def with_map_times(result: Result, factor: float) -> Result:
    """Return a detector's result with its mAP multiplied, to at most 1."""
    assert isinstance(result, DetectorResult)
    scores = tuple(s.model_copy(update={"map": min(1.0, s.map * factor)}) for s in result.scores)
    return result.model_copy(update={"scores": scores})


def delete(search: StoredSearch) -> None:
    """Remove everything of it from the store, but its pool."""
    for key in list(search.store.list(f"{search.requests.search}/")):
        search.store.delete(key)
