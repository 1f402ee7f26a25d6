"""Baselines: trained before the comparison, and shown beside the student with their intervals."""

from typing import Any

import pytest

from detnas.lifecycle.record import StoredSearch
from detnas.plan.stages import Phase
from detnas.records import keys
from detnas.records.requests import FinalTestRequest, RepeatedChannelPruning, StudentRequest
from detnas.records.results import Outcome, PrepareResult, Result
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.report.page import render
from detnas.spec.baselines import Baseline
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.detnas.lifecycle.test_final_test import UNSEEN, prepared, with_replicates
from tests.detnas.searches.in_process import (
    Scheduler,
    entries,
    reread,
    session_of,
    status,
    tiny,
    with_map_times,
)

ALL: dict[str, Any] = {"baselines": list(Baseline)}
TUNED = {"finetune": {"epochs": 4}}
NUMBERS = [one.number for one in Baseline]


@pytest.fixture
def comparing(scheduler: Scheduler) -> Scheduler:
    """Students are far better than the base."""
    scheduler.answers |= {
        Verb.PREPARE: prepared,
        Verb.BASE: lambda result: with_map_times(result, 0.5),
        Verb.TEST: with_replicates(0.001),
    }
    return scheduler


def request_of(search: StoredSearch, baseline: Baseline, number: int = 1) -> StudentRequest:
    folder = keys.baseline_folder(search.requests.search, baseline.folder, number)
    found = load_record(search.store, keys.request_key(folder), StudentRequest)
    assert found is not None
    return found


def lost(result: Result) -> Result:
    update = {"outcome": Outcome.INFRASTRUCTURE, "message": "the node was lost", "files": {}}
    return result.model_copy(update=update)


def test_baselines_run_between_the_choice_and_the_test(store: Store, comparing: Scheduler) -> None:
    search = tiny(store, "one", {**ALL, **TUNED, **UNSEEN}, trials=3, parallelism=2)
    state = comparing.run(search)
    verbs = [job.verb for job in comparing.done[-6:]]
    assert verbs == [Verb.FINETUNE, *[Verb.BASELINE] * 3, Verb.TEST, Verb.EXPORT]
    assert comparing.ran(Verb.BASELINE) == NUMBERS

    test = load_record(
        store, keys.request_key(keys.final_test_folder(search.requests.search)), FinalTestRequest
    )
    assert test
    names = [one.name for one in test.detectors]
    assert names[-3:] == ["continued-base", "one-shot-pruned", "scaled"]
    assert reread(search).final_stages == state.final_stages
    comparing.done.clear()
    comparing.run(search)
    assert not comparing.done, "nothing is trained again"


def test_baselines_train_for_as_many_epochs_as_the_whole_lineage(
    store: Store, comparing: Scheduler
) -> None:
    spec = {**ALL, **TUNED, "evaluation": {"epochs": 3}}
    search = tiny(store, "one", spec, trials=5, studentProbability="1.0")
    state = comparing.run(search)
    assert state.final_stages
    assert state.final_stages.student
    by_number = {entry.index: entry for entry in entries(search, state)}
    trial, depth = state.final_stages.student.trial, 0
    while trial is not None:
        trial, depth = by_number[trial].proposal.parent, depth + 1
    tuned = 4 if state.final_stages.student.tuned else 0
    for baseline in Baseline:
        assert request_of(search, baseline).training.epochs == 3 * depth + tuned
    assert isinstance(request_of(search, Baseline.ONE_SHOT_PRUNED).action, RepeatedChannelPruning)
    assert state.base
    for baseline in Baseline:
        assert request_of(search, baseline).parent_weights == state.base.weights


def test_status_and_report_show_baselines_with_the_lead_over_each(
    store: Store, comparing: Scheduler
) -> None:
    search = tiny(store, "one", {**ALL, **UNSEEN}, trials=3)
    comparing.run(search)
    found = status(search)
    rows = {one.name: one for one in found.compared}
    assert list(rows)[:4] == ["base", "continued base", "one-shot pruned", "scaled"]
    assert [one.exported for one in found.compared].count(True) == 1
    for baseline in Baseline:
        row = rows[baseline.words]
        assert row.detector
        assert row.detector.on_test
        assert row.lead
        assert row.lead.low < row.lead.difference < row.lead.high
        assert (row.lead.unseen, row.lead.images) == (True, 200)
        assert found.exported
        assert found.exported.on_test
        assert row.lead.difference == pytest.approx(
            found.exported.on_test.h - row.detector.on_test.h
        )
    assert found.cost.baselines.seconds == pytest.approx(
        sum(
            sum(one.job.result.seconds.values())
            for one in (reread(search).final_stages or pytest.fail("none")).baselines
            if one.job.result
        )
    )
    page = render(gather(store, search.requests))
    assert "continued base" in page
    assert "on 200 unseen test images" in page


def test_baselines_never_are_the_winner(store: Store, comparing: Scheduler) -> None:
    comparing.answers[Verb.BASELINE] = lambda result: with_map_times(result, 10)
    search = tiny(store, "one", ALL, trials=3)
    comparing.run(search)
    found = status(search)
    assert found.exported_trial is not None
    rows = {one.name: one for one in found.compared}
    assert found.exported
    scaled = rows["scaled"].detector
    assert scaled
    assert scaled.h > found.exported.h


def test_lost_baseline_does_not_keep_the_search_from_its_end_and_is_retried(
    store: Store, comparing: Scheduler
) -> None:
    comparing.answers[Verb.BASELINE] = lost
    search = tiny(store, "one", {"baselines": ["ContinuedBase"]}, trials=2)
    comparing.run(search)
    found = status(search)
    assert found.phase is Phase.SUCCEEDED
    assert found.finetune_problem == ""
    assert found.baseline_problem == "continued base: the node was lost"
    (row,) = [one for one in found.compared if one.name == "continued base"]
    assert (row.detector, row.message) == (None, "Infrastructure: the node was lost")

    del comparing.answers[Verb.BASELINE]
    folder = keys.baseline_folder(search.requests.search, "continued")
    assert folder in session_of(search).retry_failures()
    comparing.run(search)
    (row,) = [one for one in status(search).compared if one.name == "continued base"]
    assert row.detector
    assert status(search).baseline_problem == ""


def test_baselines_may_be_asked_for_after_the_search(store: Store, comparing: Scheduler) -> None:
    comparing.run(tiny(store, "one", UNSEEN, trials=2))
    comparing.done.clear()
    search = tiny(store, "one", {**UNSEEN, "baselines": ["Scaled"]}, trials=2)
    comparing.run(search)
    assert [job.verb for job in comparing.done] == [Verb.BASELINE, Verb.TEST]
    assert status(search).phase is Phase.SUCCEEDED


def test_more_trials_with_another_winner_train_baselines_of_their_own(
    store: Store, comparing: Scheduler
) -> None:
    comparing.answers[Verb.BASE] = lambda result: with_map_times(result, 0.1)
    comparing.answers[Verb.EVALUATE] = lambda result: with_map_times(result, 0.3)
    wanted = {"baselines": ["ContinuedBase"], "evaluation": {"epochs": 2}}
    comparing.run(tiny(store, "one", wanted, trials=1))
    comparing.answers[Verb.EVALUATE] = lambda result: with_map_times(result, 2)
    more = tiny(store, "one", wanted, trials=2)
    comparing.run(more)
    assert request_of(more, Baseline.CONTINUED_BASE).training.epochs == 2
    assert request_of(more, Baseline.CONTINUED_BASE, 2).training.epochs == 4


def test_older_trainer_is_named_before_anything_is_trained(
    store: Store, comparing: Scheduler
) -> None:
    def without_verbs(result: Result) -> Result:
        assert isinstance(result, PrepareResult)
        return result.model_copy(update={"verbs": ("test",)})

    comparing.answers[Verb.PREPARE] = without_verbs
    search = tiny(store, "one", ALL, trials=2)
    comparing.run(search)
    assert "too old for spec.baselines" in status(search).problem
    assert [job.verb for job in comparing.done] == [Verb.PREPARE]
