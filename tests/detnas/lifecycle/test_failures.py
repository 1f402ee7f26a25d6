"""What failed is done again by the next run, and what was an answer is not."""

from collections.abc import Callable

import pytest

from detnas.lifecycle.failures import set_aside_failures
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.status import SearchStatus, search_status
from detnas.plan.stages import Phase, Verb
from detnas.records.results import DetectorResult, Outcome, Result, Score
from detnas.report.data import gather
from detnas.store import Store
from tests.detnas.lifecycle.pretended_searches import Answer, Scheduler, reread, tiny

TUNED = {"finetune": {"epochs": 1}}


def ends(outcome: Outcome) -> Answer:
    """A job's answer that has found nothing."""

    def change(result: Result) -> Result:
        found = {"outcome": outcome, "message": "the node was lost", "files": {}}
        return result.model_copy(update={**found, "scores": (), "architecture": None})

    return change


def scored(factor: float) -> Answer:
    """A fine-tuning's answer: its mAP, as a part of what it would have been, or to 1."""

    def change(result: Result) -> Result:
        assert isinstance(result, DetectorResult)
        scores = tuple(_scaled(score, factor) for score in result.scores)
        return result.model_copy(update={"scores": scores})

    return change


def _scaled(score: Score, factor: float) -> Score:
    return score.model_copy(update={"map": min(1.0, score.map * factor)})


def status(search: StoredSearch) -> SearchStatus:
    return search_status(search, reread(search))


@pytest.fixture
def run(store: Store, scheduler: Scheduler) -> Callable[..., StoredSearch]:
    """Run a search, with the answer of its fine-tuning."""

    def one(answer: Answer, trials: int = 2) -> StoredSearch:
        search = tiny(store, "one", TUNED, trials=trials, parallelism=1)
        set_aside_failures(store, search.requests, reread(search))
        scheduler.answers[Verb.FINETUNE] = answer
        scheduler.run(search)
        return search

    return one


@pytest.mark.parametrize(("factor", "folder"), [(100.0, "best-{:04d}"), (0.01, "best")])
def test_a_lost_fine_tuning_is_done_again_and_exported_anew_if_it_wins(
    run: Callable[..., StoredSearch], scheduler: Scheduler, factor: float, folder: str
) -> None:
    search = run(ends(Outcome.INFRASTRUCTURE))
    before = status(search)
    assert before.phase is Phase.SUCCEEDED
    assert before.finetune_problem == "the node was lost"

    run(scored(factor))
    after = status(search)
    assert after.phase is Phase.SUCCEEDED
    assert after.finetune_problem == ""
    assert (after.exported == before.exported) is (folder == "best")
    assert after.best_trial is not None
    assert after.exported_to == f"{search.uri}/students/{folder.format(after.best_trial)}"
    assert len(scheduler.ran(Verb.FINETUNE)) == 2
    assert len(scheduler.ran(Verb.EXPORT)) == (1 if folder == "best" else 2)


@pytest.mark.parametrize("outcome", [Outcome.OUT_OF_MEMORY, Outcome.DIVERGED, Outcome.INVALID])
def test_an_answer_about_the_student_is_final(
    run: Callable[..., StoredSearch], scheduler: Scheduler, outcome: Outcome
) -> None:
    assert status(run(ends(outcome))).finetune_problem == ""
    run(scored(100.0))
    assert len(scheduler.ran(Verb.FINETUNE)) == 1


def test_each_export_has_its_own_folder(
    run: Callable[..., StoredSearch], scheduler: Scheduler
) -> None:
    lost, best, trials = ends(Outcome.INFRASTRUCTURE), set[int | None](), 0
    while len(best) < 2:  # until another trial wins
        trials += 2
        search = run(lost, trials)
        best.add(status(search).best_trial)
    run(scored(100.0), trials)
    after = status(search)
    assert after.phase is Phase.SUCCEEDED
    assert after.exported_to == f"{search.uri}/students/best-{after.best_trial:04d}-2"
    assert len(scheduler.ran(Verb.EXPORT)) == 3


def test_more_trials_never_lead_to_a_worse_student_than_was_fine_tuned_before(
    run: Callable[..., StoredSearch], scheduler: Scheduler
) -> None:
    trials = 2
    before = status(run(scored(100.0), trials))
    assert before.exported is not None
    while (after := status(search := run(scored(1.0), trials))).best_trial == before.best_trial:
        trials += 2
    assert after.phase is Phase.SUCCEEDED
    assert len(scheduler.ran(Verb.FINETUNE)) > 1
    assert (after.exported, after.exported_to) == (before.exported, before.exported_to)
    assert after.exported_trial == before.best_trial
    assert f"trial {before.best_trial}, fine-tuned before, has a better H" in after.export_reason
    *_, trial, finetuned = gather(search.store, search.requests).lineage
    assert trial.detector.name == f"trial {before.best_trial}"
    assert finetuned.detector.best.h == pytest.approx(before.exported.h)


def test_an_export_that_failed_has_exported_nothing(store: Store, scheduler: Scheduler) -> None:
    search = tiny(store, "one", trials=1)
    scheduler.answers[Verb.EXPORT] = lambda result: result.model_copy(
        update={"outcome": Outcome.INFRASTRUCTURE, "files": {}, "message": "full"}
    )
    scheduler.run(search)
    assert status(search).phase is Phase.FAILED
    assert status(search).exported is None
