"""The test split: scored once, after every decision, and what is claimed on it."""

from typing import Any

import pytest

from detnas.lifecycle.record import StoredSearch
from detnas.plan.stages import Phase
from detnas.records import keys
from detnas.records.requests import ExportRequest, FinalTestRequest
from detnas.records.results import FinalTestResult, Outcome, PrepareResult, Result, SplitSummary
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.report.page import render
from detnas.runner.tables import reasons
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord
from tests.detnas.searches.in_process import (
    TUNED,
    Scheduler,
    reread,
    session_of,
    status,
    tiny,
    with_map_times,
)

DATA = {"source": {"directory": "data"}, "train": "t.json", "val": "v.json"}
UNSEEN = {"dataset": {**DATA, "test": "x.json", "testImages": "unseen"}}


def prepared(result: Result) -> Result:
    """The data check's result with 50 validation and 200 test images."""
    assert isinstance(result, PrepareResult)
    splits = {
        name: SplitSummary(sha256=name[0] * 64, images=images, boxes=images, empty_images=0)
        for name, images in {"train": 100, "val": 50, "test": 200}.items()
    }
    return result.model_copy(update=splits)


def with_replicates(spread: float) -> Any:
    """Results of a test whose replicates vary so much, each detector's in its own way."""

    def change(result: Result) -> Result:
        assert isinstance(result, FinalTestResult)
        detectors = tuple(
            one.model_copy(
                update={
                    "scores": tuple(
                        score.model_copy(
                            update={
                                "map": 0.3 + 0.1 * (one.name != "base"),
                                "map_error": spread,
                                "replicates": tuple(
                                    0.3
                                    + 0.1 * (one.name != "base")
                                    + spread * (number % (7 + place) - 3) / 3
                                    for number in range(200)
                                ),
                            }
                        )
                        for score in one.scores
                    )
                }
            )
            for place, one in enumerate(result.detectors)
        )
        return result.model_copy(update={"detectors": detectors})

    return change


@pytest.fixture
def tested(scheduler: Scheduler) -> Scheduler:
    scheduler.answers |= {
        Verb.PREPARE: prepared,
        Verb.FINETUNE: lambda result: with_map_times(result, 100),
        Verb.TEST: with_replicates(0.001),
    }
    return scheduler


def request_of_test(search: StoredSearch, number: int = 1) -> FinalTestRequest:
    key = keys.request_key(keys.final_test_folder(search.requests.search, number))
    found = load_record(search.store, key, FinalTestRequest)
    assert found is not None
    return found


def test_base_and_winner_are_scored_once_after_the_selection(
    store: Store, tested: Scheduler
) -> None:
    search = tiny(store, "one", {**TUNED, **UNSEEN}, trials=3)
    state = tested.run(search)
    assert [job.verb for job in tested.done[-3:]] == [Verb.FINETUNE, Verb.TEST, Verb.EXPORT]
    assert state.final_stages
    assert state.final_stages.winner
    winner = state.final_stages.winner.detector
    request = request_of_test(search)
    assert (request.data.test, request.data.test_images) == ("x.json", "unseen")
    assert request.annotations == ("t" * 64, "v" * 64, "t" * 64)
    base, student = request.detectors
    assert (base.name, student.name) == ("base", f"trial-{winner.trial}-finetuned")
    assert student.weights == winner.result.weights
    assert student.resolutions == (winner.resolution,)
    own = state.final_stages.base.resolution
    assert base.resolutions == tuple(dict.fromkeys((own, winner.resolution)))

    tested.done.clear()
    tested.run(search)
    assert not tested.done, "nothing is scored again"


def test_gain_is_claimed_on_the_test_images(store: Store, tested: Scheduler) -> None:
    search = tiny(store, "one", {**TUNED, **UNSEEN}, trials=3)
    tested.run(search)
    found = status(search)
    assert found.exported
    assert found.exported.on_test
    assert found.base
    assert found.base.on_test
    assert found.base.on_test.map == pytest.approx(0.3)
    assert found.exported.on_test.map == pytest.approx(0.4)
    assert found.gain
    assert (found.gain.unseen, found.gain.images) == (True, 200)
    assert found.gain.difference == pytest.approx(found.exported.on_test.h - found.base.on_test.h)
    assert found.is_certain
    assert "on 200 unseen test images" in found.export_reason
    assert "selected on" not in found.export_reason

    key = keys.request_key(keys.export_folder(search.requests.search))
    export = load_record(store, key, ExportRequest)
    assert export
    assert export.gain == found.gain
    assert export.test
    assert export.test.map == pytest.approx(0.4)

    page = render(gather(store, search.requests))
    assert "mAP and H are measured on 200 unseen test images" in page
    assert "mAP on the test images" in page


def test_student_that_loses_on_the_test_images_is_exported_and_not_called_better(
    store: Store, tested: Scheduler
) -> None:
    def reversed_order(result: Result) -> Result:
        found = with_replicates(0.001)(result)
        assert isinstance(found, FinalTestResult)
        base, student = found.detectors
        swapped = (
            base.model_copy(update={"scores": student.scores * len(base.scores)}),
            student.model_copy(update={"scores": base.scores[:1]}),
        )
        return found.model_copy(update={"detectors": swapped})

    tested.answers[Verb.TEST] = reversed_order
    search = tiny(store, "one", {**TUNED, **UNSEEN}, trials=3)
    tested.run(search)
    found = status(search)
    assert found.improved, "it was selected on the validation images"
    assert not found.is_certain
    assert "worse than the base on 200 unseen test images" in found.export_reason
    assert dict(reasons(found)) == {"worse than the base": found.export_reason}
    page = render(gather(store, search.requests))
    assert "<strong>worse than the base</strong>" in page
    assert "not distinguishable" not in page


def test_search_without_a_test_split_says_that_it_was_selected_on_these_images(
    store: Store, tested: Scheduler
) -> None:
    search = tiny(store, "one", TUNED, trials=3)
    tested.run(search)
    assert tested.ran(Verb.TEST) == []
    found = status(search)
    assert "validation images it was selected on" in found.export_reason
    page = render(gather(store, search.requests))
    assert "measured on the 50 validation images it was selected on" in page


def test_more_trials_with_another_winner_are_tested_in_a_folder_of_their_own(
    store: Store, tested: Scheduler
) -> None:
    search = tiny(store, "one", UNSEEN, trials=2)
    tested.answers[Verb.BASE] = lambda result: with_map_times(result, 0.1)
    tested.answers[Verb.EVALUATE] = lambda result: with_map_times(result, 0.3)
    tested.run(search)
    tested.answers[Verb.EVALUATE] = lambda result: with_map_times(result, 2)
    more = tiny(store, "one", UNSEEN, trials=3)
    tested.run(more)
    assert status(more).exported_trial == 2
    assert request_of_test(more, 1).detectors[1].name != request_of_test(more, 2).detectors[1].name
    assert len(tested.ran(Verb.TEST)) == 2


def test_failed_test_fails_the_search_until_it_is_retried(store: Store, tested: Scheduler) -> None:
    succeeding = tested.answers[Verb.TEST]
    tested.answers[Verb.TEST] = lambda result: result.model_copy(
        update={"outcome": Outcome.INFRASTRUCTURE, "message": "the node was lost"}
    )
    search = tiny(store, "one", UNSEEN, trials=2)
    tested.run(search)
    found = status(search)
    assert (found.phase, found.exported) == (Phase.FAILED, None)
    assert "the test failed (Infrastructure): the node was lost" in found.problem

    tested.answers[Verb.TEST] = succeeding
    assert session_of(search).retry_failures() == [keys.final_test_folder(search.requests.search)]
    tested.run(search)
    assert status(search).phase is Phase.SUCCEEDED


def test_result_of_a_test_that_lacks_a_detector_is_named(store: Store, tested: Scheduler) -> None:
    complete = tested.answers[Verb.TEST]

    def without_student(result: Result) -> Result:
        found = complete(result)
        assert isinstance(found, FinalTestResult)
        return found.model_copy(update={"detectors": found.detectors[:1]})

    tested.answers[Verb.TEST] = without_student
    search = tiny(store, "one", UNSEEN, trials=2)
    with pytest.raises(CorruptRecord, match=r"test/result.json has no score of trial-"):
        tested.run(search)


def test_restart_keeps_what_was_measured(store: Store, tested: Scheduler) -> None:
    search = tiny(store, "one", UNSEEN, trials=2)
    state = tested.run(search)
    assert reread(search).final_stages == state.final_stages
