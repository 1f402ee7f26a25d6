"""A retry repeats lost jobs, and no job whose failure is an answer."""

from collections.abc import Callable

import pytest

from detnas.lifecycle.record import StoredSearch
from detnas.plan.stages import Phase
from detnas.records.results import Outcome, Result
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.store import Store
from tests.detnas.searches.in_process import (
    TUNED,
    Answer,
    Scheduler,
    session_of,
    status,
    tiny,
    with_map_times,
)


def ends(outcome: Outcome) -> Answer:
    """Return an answer that turns a result into a failure."""

    def change(result: Result) -> Result:
        failure = {"outcome": outcome, "message": "the node was lost", "files": {}}
        return result.model_copy(update={**failure, "scores": (), "architecture": None})

    return change


def better(result: Result) -> Result:
    return with_map_times(result, 100.0)


@pytest.fixture
def run(store: Store, scheduler: Scheduler) -> Callable[..., StoredSearch]:
    """Run a search, with the answer of its fine-tuning."""

    def one(answer: Answer, trials: int = 2) -> StoredSearch:
        search = tiny(store, "one", TUNED, trials=trials, parallelism=1)
        session_of(search).retry_failures()
        scheduler.answers[Verb.FINETUNE] = answer
        scheduler.run(search)
        return search

    return one


@pytest.mark.parametrize(("factor", "folder"), [(100.0, "best-{:04d}"), (0.01, "best")])
def test_retry_of_a_lost_finetuning_exports_it_if_it_wins(
    run: Callable[..., StoredSearch], scheduler: Scheduler, factor: float, folder: str
) -> None:
    search = run(ends(Outcome.INFRASTRUCTURE))
    before = status(search)
    assert before.phase is Phase.SUCCEEDED
    assert before.finetune_problem == "the node was lost"

    run(lambda result: with_map_times(result, factor))
    after = status(search)
    assert after.phase is Phase.SUCCEEDED
    assert after.finetune_problem == ""
    assert (after.exported == before.exported) is (folder == "best")
    assert after.best_trial is not None
    assert after.exported_to == f"{search.uri}/students/{folder.format(after.best_trial)}"
    assert len(scheduler.ran(Verb.FINETUNE)) == 2
    assert len(scheduler.ran(Verb.EXPORT)) == (1 if folder == "best" else 2)


@pytest.mark.parametrize("outcome", [Outcome.OUT_OF_MEMORY, Outcome.DIVERGED, Outcome.INVALID])
def test_retry_leaves_a_finetuning_that_the_student_failed(
    run: Callable[..., StoredSearch], scheduler: Scheduler, outcome: Outcome
) -> None:
    assert status(run(ends(outcome))).finetune_problem == ""
    run(better)
    assert len(scheduler.ran(Verb.FINETUNE)) == 1


def test_exports_after_changed_winners_have_own_folders(
    run: Callable[..., StoredSearch], scheduler: Scheduler
) -> None:
    lost, best, trials = ends(Outcome.INFRASTRUCTURE), set[int | None](), 0
    while len(best) < 2:  # until another trial wins
        trials += 2
        search = run(lost, trials)
        best.add(status(search).best_trial)
    run(better, trials)
    after = status(search)
    assert after.phase is Phase.SUCCEEDED
    assert after.exported_to == f"{search.uri}/students/best-{after.best_trial:04d}-2"
    assert len(scheduler.ran(Verb.EXPORT)) == 3


def test_export_after_more_trials_is_no_worse_than_an_earlier_finetuned_student(
    run: Callable[..., StoredSearch], scheduler: Scheduler
) -> None:
    trials = 2
    before = status(run(better, trials))
    assert before.exported is not None
    while (
        after := status(search := run(lambda result: result, trials))
    ).best_trial == before.best_trial:
        trials += 2
    assert after.phase is Phase.SUCCEEDED
    assert len(scheduler.ran(Verb.FINETUNE)) > 1
    assert (after.exported, after.exported_to) == (before.exported, before.exported_to)
    assert after.exported_trial == before.best_trial
    assert f"trial {before.best_trial}, fine-tuned before, has a better H" in after.export_reason
    *_, trial, finetuned = gather(search.store, search.requests).lineage
    assert trial.detector.name == f"trial {before.best_trial}"
    assert finetuned.detector.best.h == pytest.approx(before.exported.h)


def test_status_of_a_failed_export_has_no_exported_student(
    store: Store, scheduler: Scheduler
) -> None:
    search = tiny(store, "one", trials=1)
    scheduler.answers[Verb.EXPORT] = lambda result: result.model_copy(
        update={"outcome": Outcome.INFRASTRUCTURE, "files": {}, "message": "full"}
    )
    scheduler.run(search)
    assert status(search).phase is Phase.FAILED
    assert status(search).exported is None
