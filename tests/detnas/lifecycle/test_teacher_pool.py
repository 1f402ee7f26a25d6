"""Searches of strategy TeacherPool: subnets in jobs of many, the best extracted and exported."""

from dataclasses import replace
from typing import Any

import pytest

from detnas.ledger.history import read_trial
from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import StoredSearch
from detnas.plan.stages import JobId, Phase
from detnas.plan.step_text import teacher_text
from detnas.records import keys
from detnas.records.proposal import Step
from detnas.records.requests import ExportRequest, StudentRequest, SubnetsRequest
from detnas.records.results import Outcome, Result, SubnetsResult
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.report.numbers import search_numbers
from detnas.report.page import render
from detnas.report.tables import lineage_steps
from detnas.spec.search import SUBNET_PARENTS
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.cluster.searches import PHASES
from tests.detnas.searches.in_process import (
    TUNED,
    Scheduler,
    entries,
    reread,
    session_of,
    status,
    tiny,
    with_map_times,
)

SUPERNET = {
    "family": "Basic",
    "stem": 8,
    "inner": [4, 8, 16, 16],
    "outputs": [4, 8, 16, 16],
    "neck": 8,
}
DEPTHS = {"min": [1, 1, 1, 1], "max": [2, 2, 2, 2]}
POOL = {"phases": PHASES, "supernet": SUPERNET, "depths": DEPTHS}


def pooled(
    store: Store, spec: dict[str, Any] | None = None, name: str = "one", **search: Any
) -> StoredSearch:
    """A search of a pool of thin subnets."""
    return tiny(
        store, name, {"teachers": POOL, **(spec or {})}, **{"strategy": "TeacherPool", **search}
    )


def export_request(search: StoredSearch) -> ExportRequest:
    key = keys.request_key(keys.export_folder(search.requests.search))
    request = load_record(search.store, key, ExportRequest)
    assert request is not None
    return request


def test_search_evaluates_many_subnets_in_few_jobs_and_exports_the_best(
    store: Store, scheduler: Scheduler
) -> None:
    search = pooled(store, trials=110)
    state = scheduler.run(search)
    assert scheduler.ran(Verb.SUBNETS) == [0, 25, 50, 75, 100]
    assert scheduler.ran(Verb.EVALUATE) == []
    found = entries(search, state)
    assert [one.index for one in found] == list(range(110))
    assert len({one.proposal.teacher for one in found}) == 110
    assert all(one.proposal.step is Step.SUBNET and one.weights is None for one in found)

    best = max(found, key=lambda one: one.h or 0)
    assert scheduler.ran(Verb.EXTRACT) == [best.index]
    assert state.extraction is not None
    now = status(search)
    assert (now.phase, now.finished, now.best_trial) == (Phase.SUCCEEDED, 110, best.index)
    assert now.exported_trial == best.index
    assert now.exported is not None
    assert now.exported.h == best.h, "its own neck counts in trial and export alike"
    export = export_request(search)
    assert export.weights == state.extraction.weights
    assert export.detector.neck == search.requests.spec.teachers.supernet.neck_width(
        best.proposal.teacher
    )
    assert export.base_detector == search.requests.spec.detector


def test_flops_of_a_subnet_count_its_own_neck(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, trials=60)
    state = scheduler.run(search)
    assert state.scorer is not None
    with_base_neck = replace(state.scorer, supernet=None)
    for one in entries(search, state):
        assert one.architecture is not None
        resolution = search.requests.spec.base_resolution
        assert one.flops is not None
        assert one.flops < with_base_neck.flops_of(one.architecture, resolution)


def test_a_new_process_knows_the_same(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, trials=110)
    state = scheduler.run(search)
    again = reread(search)
    assert again.history.summary == state.history.summary
    assert again.observation == state.observation
    # without snapshot and segments everything is read from the jobs' records
    for key in list(store.list(f"{search.requests.search}/ledger/")):
        store.delete(key)
    assert reread(search).history.summary == state.history.summary
    assert state.scorer is not None
    assert entries(search, state)[42] == read_trial(store, search.requests.search, state.scorer, 42)


def test_search_that_is_continued_extracts_another_best(store: Store, scheduler: Scheduler) -> None:
    before = scheduler.run(pooled(store, trials=30, seed=1)).history.summary.best
    more = pooled(store, trials=200, seed=1)
    state = scheduler.run(more)
    after = state.history.summary.best
    assert scheduler.ran(Verb.SUBNETS)[:4] == [0, 25, 30, 50], "a slot is completed first"
    assert before is not None
    assert after is not None
    assert after.index > before.index
    assert scheduler.ran(Verb.EXTRACT) == [before.index, after.index]
    assert status(more).exported_trial == after.index


def test_best_subnet_is_finetuned_under_the_supernet(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, TUNED, trials=25)
    state = scheduler.run(search)
    request = load_record(store, f"{search.requests.search}/finetune/request.json", StudentRequest)
    assert request is not None
    assert state.extraction is not None
    assert request.parent_weights == state.extraction.weights
    assert request.teacher == search.requests.spec.teachers.space.largest
    best = state.history.summary.best
    assert best is not None
    assert state.scorer is not None
    assert request.detector == state.scorer.shape(best.proposal.teacher)
    assert status(search).phase is Phase.SUCCEEDED


def test_jobs_in_flight_continue_after_a_restart(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, trials=100, parallelism=3)
    scheduler.unanswered = [25]
    state = scheduler.run(search)
    assert state.observation.in_flight == (25,)
    assert {trial.index for trial in state.history.in_flight} == set(range(25, 50))
    again = reread(search)
    assert again.observation == state.observation
    scheduler.unanswered = []
    assert scheduler.run(search).history.summary.finished_count == 100
    assert scheduler.ran(Verb.SUBNETS).count(25) == 1


def test_lost_job_is_made_up_for_by_other_jobs(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, trials=50)
    lost = [True]

    def first_is_lost(result: Result) -> Result:
        if not lost:
            return result
        lost.clear()
        return SubnetsResult(
            outcome=Outcome.INFRASTRUCTURE, started=result.started, finished=result.finished
        )

    scheduler.answers[Verb.SUBNETS] = first_is_lost
    state = scheduler.run(search)
    assert state.history.summary.lost_count == 25
    assert status(search).finished == 50
    assert scheduler.ran(Verb.SUBNETS) == [0, 25, 50]


def test_subnet_without_scores_is_invalid_and_no_other(store: Store, scheduler: Scheduler) -> None:
    def short(result: Result) -> Result:
        assert isinstance(result, SubnetsResult)
        return result.model_copy(update={"subnets": result.subnets[:-2]})

    scheduler.answers[Verb.SUBNETS] = short
    search = pooled(store, trials=25)
    state = scheduler.run(search)
    outcomes = [one.outcome for one in entries(search, state)]
    assert outcomes == [Outcome.SUCCEEDED] * 23 + [Outcome.INVALID] * 2
    assert "no scores of trial 24" in entries(search, state)[24].message


def test_failed_extraction_fails_the_search_and_is_retried(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.answers[Verb.EXTRACT] = lambda result: result.model_copy(
        update={"outcome": Outcome.INFRASTRUCTURE, "message": "the node is gone"}
    )
    search = pooled(store, trials=25)
    scheduler.run(search)
    failed = status(search)
    assert failed.phase is Phase.FAILED
    assert "extracting the best subnet failed" in failed.problem
    del scheduler.answers[Verb.EXTRACT]
    assert len(session_of(search).retry_failures()) == 1
    scheduler.run(search)
    assert status(search).phase is Phase.SUCCEEDED


def test_base_is_exported_where_no_subnet_is_better(store: Store, scheduler: Scheduler) -> None:
    def worse(result: Result) -> Result:
        assert isinstance(result, SubnetsResult)
        low = [
            subnet.model_copy(
                update={"scores": tuple(s.model_copy(update={"map": 0.01}) for s in subnet.scores)}
            )
            for subnet in result.subnets
        ]
        return result.model_copy(update={"subnets": tuple(low)})

    scheduler.answers |= {
        Verb.SUBNETS: worse,
        Verb.EXTRACT: lambda result: with_map_times(result, 0.01),
    }
    search = pooled(store, trials=25)
    scheduler.run(search)
    now = status(search)
    assert now.improved is False
    export = export_request(search)
    assert export.is_base
    assert export.base_detector is None
    assert not [cause for cause in now.likely_causes if "evaluation" in cause]


def test_report_names_subnets(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, TUNED, trials=30)
    scheduler.run(search)
    data = gather(store, search.requests)
    base, subnet, tuned = lineage_steps(data)
    assert subnet.did.startswith("subnet of the pool, depths ")
    assert (base.teacher, subnet.teacher) == ("", "")
    assert tuned.teacher == teacher_text(search.requests.spec.teachers.space.largest)
    assert all(trial.teacher_parameters is None for trial in search_numbers(data).trials)
    assert "subnet of the pool" in render(data)


def test_request_names_the_pool_and_subnets(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, trials=30)
    scheduler.run(search)
    folder = keys.trial_folder(search.requests.search, 25)
    request = load_record(store, keys.request_key(folder), SubnetsRequest)
    assert request is not None
    assert (request.first, len(request.subnets)) == (25, 5)
    assert request.pool == search.requests.pool(reread(search).pool)


def test_search_of_students_inherits_no_subnets(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(pooled(store, trials=25))
    other = tiny(store, "two", {"teachers": POOL, "warmStart": {"from": "one"}})
    scheduler.prepare(other)
    with pytest.raises(BlockedError, match="TeacherPool"):
        session_of(other).resolve_supplied()


def test_summary_keeps_the_parents_of_a_long_search(store: Store, scheduler: Scheduler) -> None:
    search = pooled(store, trials=200)
    state = scheduler.run(search)
    kept = [one.h for one in state.history.summary.top]
    scores = sorted((one.h or 0.0 for one in entries(search, state)), reverse=True)
    assert kept == scores[:SUBNET_PARENTS]


def test_session_names_a_jobs_folder_by_its_first_trial(store: Store, scheduler: Scheduler) -> None:
    session = session_of(pooled(store))
    assert session.job_folder(JobId(Verb.SUBNETS, 25)).endswith("trials/0025")
    assert session.job_folder(JobId(Verb.EXTRACT, 31)).endswith("extracted/0031")
