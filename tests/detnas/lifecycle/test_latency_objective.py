"""Searches whose H counts latencies (`search.objective: Latency`)."""

from typing import Any

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.plan.stages import Phase, plan
from detnas.reasons import ReasonCode
from detnas.records import keys
from detnas.records.requests import StudentRequest
from detnas.records.results import PrepareResult, Result
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.report.page import render
from detnas.spec.baselines import Baseline
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.detnas.lifecycle.test_final_test import UNSEEN, prepared, with_replicates
from tests.detnas.searches.fake_trainer import DEVICE, milliseconds
from tests.detnas.searches.in_process import (
    TUNED,
    WARM_START,
    Scheduler,
    delete,
    entries,
    reread,
    status,
    tiny,
)

LATENCY: dict[str, Any] = {"objective": "Latency"}


def test_every_trial_is_scored_by_its_latencies(store: Store, scheduler: Scheduler) -> None:
    search = tiny(store, "one", TUNED, trials=12, patience=1000, **LATENCY)
    state = scheduler.run(search)
    scorer = state.scorer
    assert scorer is not None
    found = entries(search, state)
    assert len({entry.architecture for entry in found}) > 2
    for entry in found:
        assert entry.architecture is not None
        for score in entry.scores:
            size = score.resolution
            times = [milliseconds(one, size) for one in (entry.architecture, scorer.architecture)]
            expected = scorer.objective.h(score.map, times[0] / times[1], size)
            assert score.h == pytest.approx(expected, rel=1e-12)
    assert state.final_stages is not None
    assert state.final_stages.winner is not None
    assert reread(search).history.summary == state.history.summary
    best = status(search).best
    assert best is not None
    assert best.latency is not None
    assert best.latency.device == DEVICE


def test_front_and_report_show_latencies(store: Store, scheduler: Scheduler) -> None:
    search = tiny(store, "one", trials=12, patience=1000, **LATENCY)
    state = scheduler.run(search)
    assert state.scorer is not None
    scored = [*state.scorer.scored, *(one for e in entries(search, state) for one in e.scores)]
    best = {  # of all that are as quick
        one.cost: max(other.map for other in scored if other.cost <= one.cost) for one in scored
    }
    front = {one.milliseconds or 0.0: one.map for one in status(search).front}
    assert front == {cost: best[cost] for cost in front}
    assert set(front.values()) == set(best.values())
    page = render(gather(store, search.requests))
    assert "C is the latency at R of one image" in page
    assert "ms there" in page
    assert "milliseconds for one image" in page


def test_jobs_of_other_searches_measure_no_latency(store: Store, scheduler: Scheduler) -> None:
    for name, settings in {"flops": {}, "latency": LATENCY}.items():
        search = tiny(store, name, trials=2, **settings)
        scheduler.run(search)
        folder = search.requests.search
        key = keys.request_key(keys.trial_folder(folder, 1))
        request = load_record(store, key, StudentRequest)
        assert request is not None
        asked = request.latency
        assert (asked is not None) == bool(settings)
        assert asked is None or asked.folder == keys.latencies_folder(folder)


def test_scores_on_test_images_take_the_latencies_of_the_validation(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.answers[Verb.PREPARE] = prepared
    search = tiny(store, "one", UNSEEN | TUNED, **LATENCY)
    stages = scheduler.run(search).final_stages
    assert stages is not None
    assert stages.winner is not None
    winner = stages.winner.on_test
    assert winner is not None
    latency = next(
        one.latency
        for one in stages.winner.detector.result.scores
        if one.resolution == winner.resolution
    )
    assert latency is not None
    pixels = winner.resolution.pixels / search.requests.spec.base_resolution.pixels
    expected = winner.map * (latency.relative * pixels**0.8) ** -0.4
    assert winner.score == pytest.approx(expected, rel=1e-12)


def test_baselines_are_scored_by_their_latencies(store: Store, scheduler: Scheduler) -> None:
    scheduler.answers |= {Verb.PREPARE: prepared, Verb.TEST: with_replicates(0.001)}
    spec = UNSEEN | TUNED | {"baselines": list(Baseline)}
    search = tiny(store, "one", spec, trials=6, studentProbability="1.0", **LATENCY)
    state = scheduler.run(search)
    scorer, stages = state.scorer, state.final_stages
    assert scorer is not None
    assert stages is not None
    assert len(stages.baselines) == len(Baseline)
    assert stages.baselines[0].request.latency is None, "it is added when the job is due"
    for one in stages.baselines:
        assert one.detector is not None
        architecture = one.detector.result.architecture
        assert architecture is not None
        size, mean_ap = one.detector.resolution, one.detector.map
        times = [milliseconds(other, size) for other in (architecture, scorer.architecture)]
        expected = scorer.objective.h(mean_ap, times[0] / times[1], size)
        assert one.detector.score == pytest.approx(expected, rel=1e-12)
        request = load_record(store, keys.request_key(one.job.folder), StudentRequest)
        assert request is not None
        assert request.latency is not None
    rows = {row.name: row for row in status(search).compared}
    for baseline in Baseline:
        row = rows[baseline.words]
        assert row.detector is not None
        assert row.detector.latency is not None
        assert row.lead is not None
        assert row.lead.unseen
    assert reread(search).final_stages == stages
    scheduler.done.clear()
    scheduler.run(search)
    assert not scheduler.done, "a request that asks for latencies is the same baseline's"


def test_subnets_and_what_follows_are_scored_by_latency(store: Store, scheduler: Scheduler) -> None:
    search = tiny(store, "one", strategy="TeacherPool", trials=8, **LATENCY)
    state = scheduler.run(search)
    assert plan(state.observation, search.requests.spec).phase is Phase.SUCCEEDED
    assert state.extraction is not None
    assert all(score.latency is not None for score in state.extraction.scores)


def test_search_with_a_trainer_that_measures_none_fails_before_the_base(
    store: Store, scheduler: Scheduler
) -> None:
    def older(result: Result) -> Result:
        assert isinstance(result, PrepareResult)
        return result.model_copy(update={"measures_latency": False})

    scheduler.answers[Verb.PREPARE] = older
    search = tiny(store, "one", **LATENCY)
    state = scheduler.run(search)
    assert plan(state.observation, search.requests.spec).phase is Phase.FAILED
    assert "too old to measure latencies" in status(search).problem
    assert scheduler.ran(Verb.BASE) == []


def test_warm_start_inherits_latencies_and_the_device(store: Store, scheduler: Scheduler) -> None:
    one = tiny(store, "one", trials=6, **LATENCY)
    first = scheduler.run(one)
    known = [[score.h for score in entry.scores] for entry in entries(one, first)]
    two = tiny(store, "two", WARM_START, trials=2, **LATENCY)
    scheduler.unanswered = range(6, 9)
    scheduler.run(two)
    device = store.get(keys.latency_device_key(keys.latencies_folder(two.requests.search)))
    assert device is not None
    delete(one)
    scheduler.unanswered = ()
    inherited = entries(two, scheduler.run(two))
    for entry, scores in zip(inherited, known, strict=False):
        assert [score.h for score in entry.scores] == pytest.approx(scores, rel=1e-12)


def test_warm_start_from_a_search_without_latencies_is_refused(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.run(tiny(store, "one", trials=2))
    with pytest.raises(BlockedError, match=r"spec.search.objective does not fit") as caught:
        scheduler.run(tiny(store, "two", WARM_START, **LATENCY))
    assert caught.value.code is ReasonCode.WARM_START_MISMATCH
    timed = tiny(store, "three", trials=2, **LATENCY)
    scheduler.run(timed)
    by_flops = tiny(store, "four", {"warmStart": {"from": "three"}}, trials=2)
    found = entries(by_flops, scheduler.run(by_flops))
    assert all(score.latency is None for entry in found for score in entry.scores)
