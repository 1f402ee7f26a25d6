"""Several students are fine-tuned, and the best of them is exported."""

from dataclasses import replace

import pytest

from detnas.ledger.entry import LedgerEntry
from detnas.plan.stages import Phase
from detnas.plan.winner import (
    Candidate,
    TrainedDetector,
    choose_candidates,
    choose_winner,
)
from detnas.records import keys
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.records.settings import DetectorShape
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.report.page import render
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.detnas.searches.in_process import (
    Scheduler,
    entries,
    reread,
    session_of,
    status,
    tiny,
    with_map_times,
)
from tests.detnas.searches.results import detector

THREE = {"finetune": {"epochs": 1, "candidates": 3}}


def wide_is_accurate(result: Result) -> Result:
    """Give a student an mAP that follows from its channels, so that many are on the front."""
    assert isinstance(result, DetectorResult)
    assert result.architecture is not None
    channels = sum(sum(placed.block.widths) for placed in result.architecture.blocks)
    scores = tuple(
        score.model_copy(update={"map": channels / 2000 * (1 + place / 10)})
        for place, score in enumerate(result.scores)
    )
    return result.model_copy(update={"scores": scores})


@pytest.fixture
def tuning(scheduler: Scheduler) -> Scheduler:
    """Fine-tuning makes each student better than the one before."""
    made = 0

    def better(result: Result) -> Result:
        nonlocal made
        made += 1
        return with_map_times(result, 1 + made / 2)

    scheduler.answers |= {
        Verb.BASE: lambda result: with_map_times(result, 0.1),
        Verb.EVALUATE: wide_is_accurate,
        Verb.FINETUNE: lambda result: better(wide_is_accurate(result)),
    }
    return scheduler


def test_best_of_the_front_are_fine_tuned_under_their_own_teachers(
    store: Store, tuning: Scheduler
) -> None:
    search = tiny(store, "one", THREE, trials=14, parallelism=2)
    state = tuning.run(search)
    assert state.final_stages
    finalists = [one.student for one in state.final_stages.finalists]
    assert len(finalists) == 3
    summary = state.history.summary
    assert summary.best
    assert finalists[0].trial == summary.best.index
    front = {point.index for point in summary.front}
    assert {one.trial for one in finalists[1:]} <= front
    scores = [one.score for one in finalists]
    assert scores == sorted(scores, reverse=True)

    by_number = {entry.index: entry for entry in entries(search, state)}
    for one, job in zip(finalists, state.final_stages.tunings, strict=True):
        request = load_record(store, keys.request_key(job.folder), StudentRequest)
        assert request
        assert one.trial is not None
        assert request.parent_weights == by_number[one.trial].weights
        assert request.teacher == by_number[one.trial].proposal.teacher


def test_candidate_of_highest_h_afterwards_is_exported_with_the_reason(
    store: Store, tuning: Scheduler
) -> None:
    search = tiny(store, "one", THREE, trials=14)
    state = tuning.run(search)
    assert state.final_stages
    best = max(
        (one.tuned for one in state.final_stages.finalists if one.tuned),
        key=lambda tuned: tuned.score,
    )
    found = status(search)
    assert found.exported_trial == best.trial
    assert "of 3 fine-tuned candidates it has the best H" in found.export_reason
    assert [one.exported for one in found.compared].count(True) == 1
    assert len(found.compared) == 4
    data = gather(store, search.requests)
    assert data.lineage[-1].detector.name == "fine-tuning"
    page = render(data)
    for one in state.final_stages.finalists:
        assert f"trial {one.student.trial}, fine-tuned" in page
    assert data.front == found.front


def test_candidates_run_at_the_same_time(store: Store, tuning: Scheduler) -> None:
    search = tiny(store, "one", THREE, trials=14, parallelism=2)
    state = tuning.run(search)
    assert state.final_stages
    for job in state.final_stages.tunings:
        store.delete(keys.result_key(job.folder))
    planned = session_of(search).plan()
    assert planned.phase is Phase.FINETUNING
    assert len(planned.due) == 2
    numbers = [job.number for job in planned.due]
    assert numbers[0] == 0, "the best trial's has the name that it has always had"
    assert numbers[1] > 0


def test_failed_candidate_leaves_the_others(store: Store, tuning: Scheduler) -> None:
    better = tuning.answers[Verb.FINETUNE]
    failed: list[Result] = []

    def first_fails(result: Result) -> Result:
        if failed:
            return better(result)
        failed.append(result)
        update = {"outcome": Outcome.DIVERGED, "message": "the loss left all bounds", "files": {}}
        return result.model_copy(update=update)

    tuning.answers[Verb.FINETUNE] = first_fails
    search = tiny(store, "one", THREE, trials=14)
    tuning.run(search)
    found = status(search)
    assert found.phase is Phase.SUCCEEDED
    assert found.exported_trial != found.best_trial
    assert found.finetune_problem == ""
    (lost,) = [one for one in found.compared if one.message]
    assert lost.message == "Diverged: the loss left all bounds"
    (said,) = [
        one for one in found.export_reason.split(", ") if f"trial {found.best_trial} " in one
    ]
    assert said.endswith("(its fine-tuning failed)")


def test_restart_finds_the_same_candidates(store: Store, tuning: Scheduler) -> None:
    search = tiny(store, "one", THREE, trials=14)
    state = tuning.run(search)
    assert reread(search).final_stages == state.final_stages
    tuning.done.clear()
    tuning.run(search)
    assert not tuning.done


def test_candidates_are_the_best_by_h_whatever_their_map(
    store: Store, scheduler: Scheduler
) -> None:
    search = tiny(store, "one", trials=14)
    finished = entries(search, scheduler.run(search))
    by_score: list[LedgerEntry] = sorted(finished, key=lambda entry: -(entry.h or 0))
    chosen = choose_candidates(by_score[0], finished, 3)
    assert chosen == tuple(by_score[:3])
    assert choose_candidates(by_score[0], finished[:0], 3) == (by_score[0],)


def _trained(trial: int, h: float, mean_ap: float, *, upgraded: bool = False) -> TrainedDetector:
    shape = DetectorShape()
    result = detector("any").model_copy(update={"shape": shape if upgraded else None})
    at = result.scores[0].resolution
    return TrainedDetector(trial, result, None, shape, h, at, mean_ap, tuned=upgraded)


def test_upgraded_candidates_are_compared_by_h() -> None:
    """By mAP, the costliest of the front would always be chosen."""
    cheap = Candidate(_trained(1, 0.3, 0.3), _trained(1, 0.28, 0.35, upgraded=True))
    costly = Candidate(_trained(2, 0.25, 0.4), _trained(2, 0.2, 0.45, upgraded=True))
    winner = choose_winner([cheap, costly])
    assert winner.detector is cheap.finetuned
    assert winner.reason.endswith("it has the best H: trial 1 0.2800, trial 2 0.2000")

    failed = Candidate(costly.student, failure="Diverged: the loss left all bounds")
    winner = choose_winner([cheap, failed])
    assert winner.detector is costly.student
    ends = "trial 1 35.00 %, trial 2 40.00 % (its fine-tuning failed)"
    assert winner.reason.endswith(f"it has the best mAP: {ends}")


def test_candidate_that_was_better_before_its_fine_tuning_is_named_so() -> None:
    worse = Candidate(_trained(1, 0.3, 0.3), replace(_trained(1, 0.2, 0.2), tuned=True))
    better = Candidate(_trained(2, 0.2, 0.2), replace(_trained(2, 0.25, 0.25), tuned=True))
    winner = choose_winner([worse, better])
    assert winner.detector is worse.student
    assert "trial 1 0.3000 (before its fine-tuning), trial 2 0.2500" in winner.reason
