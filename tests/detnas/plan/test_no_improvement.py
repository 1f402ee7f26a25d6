"""A search without improvement: what is exported, and the likely causes."""

from typing import Any

import pytest

from detnas.plan.advice import FEW_TRIALS, likely_causes, still_falling
from detnas.plan.winner import TrainedDetector, Winner, compare_with_base
from detnas.records.results import DetectorResult, PrepareResult, SplitSummary
from detnas.records.settings import DetectorShape
from tests.detnas.searches.results import detector, manifest, prepared

RESOLUTION = manifest().spec.resolutions[0]
ENOUGH = {"evaluation": {"epochs": 10, "batchSize": 4}}  # of 100 images: 250 steps a trial
SHAPE = DetectorShape()
BASE = TrainedDetector(None, detector("base"), None, SHAPE, 0.5, RESOLUTION, 0.3)


def student(score: float) -> Winner:
    return Winner(
        TrainedDetector(3, detector("student"), None, SHAPE, score, RESOLUTION, 0.3),
        "trial 3 is it",
    )


def data(train: int = 100, val: int = 1000) -> PrepareResult:
    def split(images: int) -> SplitSummary:
        return SplitSummary(sha256="", images=images, boxes=images, empty_images=0)

    return prepared().model_copy(update={"train": split(train), "val": split(val)})


def base(*losses: float) -> DetectorResult:
    return detector("base").model_copy(update={"loss_by_epoch": losses})


@pytest.mark.parametrize(("score", "is_base"), [(0.5001, False), (0.5, True), (0.4999, True)])
def test_compare_with_base_exports_only_a_better_student(score: float, is_base: bool) -> None:
    winner = compare_with_base(student(score), BASE, lambda _: False)
    assert winner.detector.is_base is is_base
    assert winner.improved is not is_base
    assert ("no student is better than the base, whose H is 0.5000" in winner.reason) is is_base
    assert "trial 3 is it" in winner.reason


@pytest.mark.parametrize(("score", "improved"), [(0.6, True), (0.4, False)])
def test_compare_with_base_keeps_an_exported_student_without_calling_it_better(
    score: float, improved: bool
) -> None:
    winner = compare_with_base(student(score), BASE, lambda _: True)
    assert (winner.detector.trial, winner.improved) == (3, improved)
    assert ("no student is better" in winner.reason) is not improved


@pytest.mark.parametrize(
    ("losses", "falling"),
    [
        ((2.0, 1.0), True),
        ((1.0, 0.979), True),
        ((1.0, 0.981), False),
        ((1.0, 1.1), False),
        ((0.5, 1.0, 0.9), False),  # not the lowest
        ((1.0,), False),
        ((), False),
    ],
)
def test_still_falling_if_the_last_epoch_is_clearly_the_best(
    losses: tuple[float, ...], falling: bool
) -> None:
    assert still_falling(losses) is falling


@pytest.mark.parametrize(
    ("change", "cause", "field"),
    [
        (
            {"trained": base(2.0, 1.5)},
            "still learning when its schedule ended: its loss fell from 2.000 to 1.500",
            "spec.base.train.epochs",
        ),
        ({"data": data(val=199)}, "199 validation images", "spec.dataset.val"),
        ({"data": data(train=79)}, "a trial trains for 198 steps only", "spec.evaluation.epochs"),
        ({"finished": FEW_TRIALS - 1}, "only 19 trials finished", "spec.search.trials"),
    ],
)
def test_likely_causes_name_the_field_to_change(
    change: dict[str, Any], cause: str, field: str
) -> None:
    unsuspicious: dict[str, Any] = {
        "trained": base(1.0, 1.0),
        "data": data(train=80, val=200),
        "finished": FEW_TRIALS,
    }
    assert causes(**unsuspicious) == ()
    (found,) = causes(**unsuspicious | change)
    assert cause in found
    assert field in found.partition(";")[2]


def test_likely_causes_of_a_converged_search_name_patience_too() -> None:
    search = {"trials": 30, "patience": 3}
    (found,) = causes(base(), data(), 5, search=search)
    assert found.endswith("raise spec.search.trials and spec.search.patience")


@pytest.mark.parametrize("strategy", ["Random", "TeacherPool"])
def test_likely_causes_do_not_name_patience_that_ends_nothing(strategy: str) -> None:
    search = {"trials": 30, "patience": 3, "strategy": strategy}
    found = causes(base(), data(), 5, search=search)
    assert any(cause.endswith("raise spec.search.trials") for cause in found)
    assert not any("patience" in cause for cause in found)


@pytest.mark.parametrize(
    "spec",
    [
        {"base": {"model": "faster-rcnn-r18-fpn", "weights": "b.pth"}},
        {"warmStart": {"from": "another"}},
    ],
)
def test_likely_causes_of_an_untrained_base_name_no_schedule(spec: dict[str, Any]) -> None:
    assert causes(base(2.0, 1.0), data(), FEW_TRIALS, **spec) == ()


def test_likely_causes_name_the_bases_schedule_if_trials_train_like_the_base() -> None:
    model = {"model": "faster-rcnn-r18-fpn", "train": {"epochs": 1, "batchSize": 4}}
    full = {"base": model, "evaluation": {"mode": "Full"}}
    (found,) = causes(base(1.0, 1.0), data(), FEW_TRIALS, **full)
    assert found.endswith("raise spec.base.train.epochs or lower spec.base.train.batchSize")


def test_likely_causes_of_records_without_figures_are_empty() -> None:
    assert causes(base(), prepared(), FEW_TRIALS) == ()


def causes(
    trained: DetectorResult, data: PrepareResult, finished: int, **spec: Any
) -> tuple[str, ...]:
    return likely_causes(manifest(**{**ENOUGH, **spec}).spec, finished, data, trained)
