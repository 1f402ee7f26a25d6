"""Requests of due jobs: built from the search's state, and recorded.

A request is written before its job is started, so that a crash between the two repeats nothing
and loses nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from detnas.lifecycle.baselines import card_baselines
from detnas.lifecycle.lineage import exported_lineage
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.plan.latency_comparison import with_latency
from detnas.plan.requests import FinalRequests, SearchRequests
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import (
    BaseRequest,
    PoolPhaseRequest,
    PrepareRequest,
    Request,
    StudentRequest,
    SubnetsRequest,
)
from detnas.records.results import PrepareResult
from detnas.records.verbs import Verb
from detnas.schema import Tagged
from detnas.search import SubnetBatch, propose, propose_subnets
from detnas.store import Store
from detnas.store.artifacts import create_record, replace_record
from detnas.store.base import StoredObject
from detnas.store.errors import StoreError
from detnas.store.record_format import decode_record

R = TypeVar("R", bound=Tagged)


@dataclass(frozen=True, slots=True)
class JobRequests:
    """Builds and records the requests of one search.

    Attributes:
        store: where the search is stored.
        requests: builds them.
        reader: of the search's state, to which new trials are added.
    """

    store: Store
    requests: SearchRequests
    reader: SearchReader

    def due_request(self, job_id: JobId, state: SearchState) -> Request:
        """Build the request of a due job, except of a trial: its request is what makes it due."""
        return self._measuring(self._due_request(job_id, state))

    def _measuring(self, request: R) -> R:
        """The request, with latencies to be measured if H counts them."""
        return with_latency(request, self.requests.spec, self.requests.search)

    def _due_request(self, job_id: JobId, state: SearchState) -> Request:
        requests = self.requests
        if job_id.verb is Verb.PREPARE:
            return requests.prepare()
        prepared = state.prepare
        assert prepared is not None
        if job_id.verb is Verb.BASE:
            return requests.base(prepared)
        if job_id.verb is Verb.POOL:
            return requests.pool_phase(prepared, state.pool)
        if job_id.verb is Verb.EXTRACT:
            best, pool = state.history.summary.best, requests.pool(state.pool)
            assert best is not None
            assert pool is not None
            return requests.extraction(best.index, best.proposal.teacher, prepared, pool)
        return self._final_request(job_id, state, prepared)

    def record(self, request: Request) -> None:
        """Write a job's request if there is none; else update the location of the data in it.

        A project may have been moved. And a pool that another search began is continued with this
        one's copies of the data and of the image listing: the other's machine or folder may be
        gone, and the pool's digest proves that the data is the same.
        """
        key = keys.request_key(request.key)
        stored = self.store.get(key)
        if stored is None:
            create_record(self.store, key, request)
        else:
            self._relocate(key, stored, type(request), _locations(request))

    def relocate_trial(self, number: int) -> None:
        """Update the location of the data in the request of the job that begins with a trial."""
        kind = SubnetsRequest if self.requests.spec.searches_pool else StudentRequest
        key = keys.request_key(keys.trial_folder(self.requests.search, number))
        stored = self.store.get(key)
        if stored is not None:
            self._relocate(key, stored, kind, {"data": self.requests.data})

    def _relocate(
        self, key: str, stored: StoredObject, kind: type[Request], locations: Mapping[str, Any]
    ) -> None:
        before = decode_record(stored.data, f"{self.store.uri}/{key}", kind)
        # A field that was left out remains so: an older trainer may not know it.
        update = {name: new for name, new in locations.items() if getattr(before, name) is not None}
        now = before.model_copy(update=update)
        if now != before:
            replace_record(self.store, key, now, stored.version)

    def propose(self, count: int) -> Iterator[int]:
        """Decide and record up to ``count`` new jobs of trials.

        The number of each, that of its first trial, is yielded once it is recorded. Ends early if
        the search has converged.
        """
        for _ in range(count):
            state = self.reader.state
            searches_pool = self.requests.spec.searches_pool
            request = self._next_subnets(state) if searches_pool else self._next_trial(state)
            if request is None:
                return
            request = self._measuring(request)
            self._record_trial(request)
            self.reader.update_history(state.history.with_request(*request.trials))
            yield request.trials[0].index

    def _next_trial(self, state: SearchState) -> StudentRequest | None:
        spec, history = self.requests.spec, state.history
        assert state.scorer is not None
        proposal = propose(
            spec.climbing,
            spec.proposed_space,
            state.scorer,
            history.summary,
            history.in_flight,
        )
        return self._trial_request(proposal, state) if isinstance(proposal, Proposal) else None

    def _next_subnets(self, state: SearchState) -> SubnetsRequest | None:
        spec, history = self.requests.spec, state.history
        assert state.prepare is not None
        assert state.scorer is not None
        batch = propose_subnets(
            spec.search, spec.proposed_space, state.scorer, history.summary, history.in_flight
        )
        if not isinstance(batch, SubnetBatch):
            return None
        pool = self.requests.pool(state.pool)
        assert pool is not None
        return self.requests.subnets(batch, state.prepare, pool)

    def _record_trial(self, request: Request) -> None:
        try:
            create_record(self.store, keys.request_key(request.key), request)
        except StoreError:
            self.reader.invalidate_trials()  # the request may be stored, and only the answer lost
            raise

    def _trial_request(self, proposal: Proposal, state: SearchState) -> StudentRequest:
        assert state.prepare is not None
        assert state.base is not None
        top = {entry.index: entry for entry in state.history.summary.top}
        parent = state.base if proposal.parent is None else top[proposal.parent]
        pool = self.requests.pool(state.pool)
        return self.requests.trial(proposal, state.prepare, parent, pool)

    def _final_request(self, job_id: JobId, state: SearchState, prepared: PrepareResult) -> Request:
        stages = state.final_stages
        assert stages is not None
        job = stages.job(job_id)
        assert job is not None
        final = FinalRequests(self.requests)
        if job.verb is Verb.FINETUNE:
            assert state.scorer is not None
            pool, flops = self.requests.pool(state.pool), state.scorer.flops
            student = next(one.student for one in stages.finalists if one.job is job)
            return final.finetune(job.folder, student, prepared, pool, flops)
        if job.verb is Verb.BASELINE:
            return next(one.request for one in stages.baselines if one.job is job)
        if job.verb is Verb.TEST:
            return final.final_test(job.folder, stages.contestants, prepared)
        assert stages.winner is not None
        assert state.scorer is not None
        winner, teachers = stages.winner.detector, self.requests.spec.teachers
        lineage = exported_lineage(self.store, self.requests.search, winner, state.scorer, teachers)
        baselines = card_baselines(state, stages)
        return final.export(job.folder, stages.winner, prepared, stages.base, lineage, baselines)


def _locations(request: Request) -> dict[str, Any]:
    """Fields of a request that name folders and files of this machine or this search."""
    locations: dict[str, Any] = {"data": request.data}
    if isinstance(request, PrepareRequest | BaseRequest):
        locations["weights"] = request.weights
    if isinstance(request, PoolPhaseRequest):
        locations["image_listing"] = request.image_listing
    return locations
