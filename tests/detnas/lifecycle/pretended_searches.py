"""Searches that run to their end within a test, their jobs answered at once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from detnas.ledger import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import SearchRecord, StoredSearch, record_search, versions
from detnas.lifecycle.session import SearchSession
from detnas.plan.identity import local_uid
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import DueJob, Phase, Verb
from detnas.records import keys
from detnas.records.requests import Request
from detnas.records.results import Result
from detnas.spec.loading import read_manifest
from detnas.store import Store
from detnas.store.artifacts import create_record
from tests.cluster.searches import manifest
from tests.detnas.runner.fake_trainer import answer

REQUEST: TypeAdapter[Any] = TypeAdapter(Request)
Answer = Callable[[Result], Result]
SOURCE = {"directory": "data"}
ONE = {"warmStart": {"from": "one"}}


def tiny(
    store: Store, name: str, spec: dict[str, Any] | None = None, **search: Any
) -> StoredSearch:
    """A small search, begun: keywords are fields of `spec.search`, `spec` replaces its sections."""
    document = manifest(name, spec, **search)
    document["spec"]["dataset"]["source"] = SOURCE
    read = read_manifest(document, name)
    uid = local_uid(read)
    folder = keys.search_folder("local", name, uid)
    pool = read.spec.teachers.pool
    requests = SearchRequests(
        read, folder, Path("/"), existing_pool=pool_key(pool, store.uri) if pool else None
    )
    record = SearchRecord(
        uid=uid, folder="/", data=requests.data, manifest=read, versions=versions()
    )
    record_search(store, folder, record)
    return StoredSearch(store, requests)


@dataclass
class Scheduler:
    """Does what a scheduler does, one job after the other.

    Attributes:
        scratch: a folder for the jobs.
        answers: changes what jobs answer, by their verb.
        unanswered: trials that never end.
        done: what ran.
    """

    scratch: Path
    answers: dict[Verb, Answer] = field(default_factory=dict)
    unanswered: Collection[int] = ()
    done: list[DueJob] = field(default_factory=list)

    def run(self, search: StoredSearch) -> SearchState:
        """Run a search to its end, or until only unanswered trials are left."""
        session = SearchSession(search, search.requests.search)
        while True:
            session.refresh()
            session.resolve_supplied()
            decided = session.plan()
            due = [job for job in decided.due if not self._is_stuck(job)]
            if (
                decided.phase in (Phase.SUCCEEDED, Phase.FAILED)
                or not due + [0] * decided.proposals
            ):
                return session.state
            for job in due:
                self._finish(search.store, job, session.request(job))
            for job in session.propose(decided.proposals):
                self._finish(search.store, job, session.job_folder(job))
            session.refresh()
            session.tidy()

    def prepare(self, search: StoredSearch) -> None:
        """Run the data check of a search, and nothing else."""
        requests = search.requests
        folder = keys.prepare_folder(requests.search)
        if search.store.size(keys.result_key(folder)) is None:
            job = DueJob(Verb.PREPARE)
            self._finish(search.store, job, SearchSession(search, "").request(job))

    def ran(self, verb: Verb) -> list[int]:
        """Numbers of the jobs of a kind that ran."""
        return [job.number for job in self.done if job.verb is verb]

    def _is_stuck(self, job: DueJob) -> bool:
        return job.verb is Verb.EVALUATE and job.number in self.unanswered

    def _finish(self, store: Store, job: DueJob, folder: str) -> None:
        if self._is_stuck(job):
            return
        self.done.append(job)
        stored = store.get(keys.request_key(folder))
        assert stored is not None
        result = answer(store, REQUEST.validate_json(stored.data), self.scratch)
        change = self.answers.get(job.verb, lambda same: same)
        create_record(store, keys.result_key(folder), change(result))


def entries(search: StoredSearch, state: SearchState) -> list[LedgerEntry]:
    """Its finished trials, in the order of their numbers."""
    assert state.facts is not None
    return list(read_entries(search.store, search.requests.search, state.facts))


def reread(search: StoredSearch) -> SearchState:
    """Where it stands, as a new process finds it."""
    return SearchReader(search.store, search.requests).read()


def delete(search: StoredSearch) -> None:
    """Remove everything of it from the store, but its pool."""
    for key in list(search.store.list(f"{search.requests.search}/")):
        search.store.delete(key)
