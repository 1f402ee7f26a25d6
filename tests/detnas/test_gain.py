"""The paired interval of a gain, and when a student counts as better than the base."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from detnas.gain import Gain, GainMetric, interval, paired_gain
from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import Phase
from detnas.plan.winner import TrainedDetector, Winner, compare_with_base
from detnas.records.results import Score
from detnas.records.settings import DetectorShape
from tests.detnas.searches.results import detector, manifest

RESOLUTION = manifest().spec.resolutions[0]


def score(mean_ap: float, replicates: tuple[float, ...] = ()) -> Score:
    return Score(
        resolution=RESOLUTION,
        map=mean_ap,
        ap50=0.5,
        ap75=0.5,
        ap_small=0.5,
        ap_medium=0.5,
        ap_large=0.5,
        replicates=replicates,
    )


def around(mean_ap: float, by: float, seed: int = 0) -> tuple[float, ...]:
    random = Random(seed)
    return tuple(mean_ap + random.gauss(0, by) for _ in range(200))


def test_interval_leaves_a_fortieth_out_on_either_side() -> None:
    assert interval([float(number) for number in range(201)]) == pytest.approx((4.05, 195.95))


def test_images_that_are_hard_for_both_do_not_widen_the_interval() -> None:
    """The two mAPs vary by 0.05, their difference by nothing."""
    base = around(0.3, 0.05)
    gain = paired_gain(score(0.31, tuple(one + 0.01 for one in base)), 0.31, score(0.3, base), 0.3)
    assert gain is not None
    assert (gain.difference, gain.low, gain.high) == pytest.approx((0.01, 0.01, 0.01))
    assert gain.is_certain


def test_replicates_are_weighted_by_what_h_makes_of_map() -> None:
    """A student of half the FLOPs may have a better H with a worse mAP."""
    base = around(0.3, 0.01)
    student = tuple(one - 0.01 for one in base)
    gain = paired_gain(score(0.29, student), 0.58, score(0.3, base), 0.3)
    assert gain is not None
    assert gain.difference == pytest.approx(0.28)
    assert gain.low < 0.28 < gain.high


def test_gain_is_unknown_without_the_replicates_of_both() -> None:
    assert paired_gain(score(0.4, around(0.4, 0.1)), 0.4, score(0.3), 0.3) is None
    assert paired_gain(score(0.4), 0.4, score(0.3, around(0.3, 0.1)), 0.3) is None
    other_images = around(0.3, 0.1)[:150]
    assert paired_gain(score(0.4, around(0.4, 0.1)), 0.4, score(0.3, other_images), 0.3) is None


def test_gain_over_a_base_that_finds_nothing_is_known() -> None:
    """As a base after too short a training; its replicates are all 0."""
    gain = paired_gain(score(0.4, around(0.4, 0.01)), 0.8, score(0, around(0, 0)), 0.0)
    assert gain is not None
    assert gain.is_certain
    assert gain.difference == pytest.approx(0.8)
    assert gain.low < 0.8 < gain.high


def trained(trial: int | None, found: Score, **changed: Any) -> TrainedDetector:
    result = detector("any").model_copy(update={"scores": (found,)} | changed)
    h = found.map / 2 if result.is_upgraded else found.map
    return TrainedDetector(trial, result, None, DetectorShape(), h, RESOLUTION, found.map)


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        (0.001, "its H less the base's is +0.0100, 95 % interval +0.00"),
        (
            0.02,
            "not distinguishable from the base on the 50 validation images it was selected on (H +",
        ),
    ],
)
def test_winner_says_whether_it_can_be_told_from_the_base(spread: float, words: str) -> None:
    base = trained(None, score(0.3, around(0.3, spread, 1)))
    student = trained(3, score(0.31, around(0.31, spread, 2)))
    winner = compare_with_base(Winner(student, "trial 3 is it"), base, lambda _: False, 50)
    assert winner.improved
    assert (winner.detector.trial, winner.gain is not None) == (3, True)
    assert winner.explanation.startswith("trial 3 is it; ")
    assert words in winner.explanation


def test_upgraded_student_is_compared_and_worded_by_map() -> None:
    """Its H is half the base's, because of its FLOPs; that must not decide."""
    base = trained(None, score(0.3, around(0.3, 0.001, 1)))
    student = trained(3, score(0.31, around(0.31, 0.001, 2)), shape=DetectorShape())
    winner = compare_with_base(Winner(student, "trial 3 is it"), base, lambda _: False)
    assert winner.gain is not None
    assert (winner.gain.metric, winner.gain.is_certain) == (GainMetric.MAP, True)
    assert winner.gain.difference == pytest.approx(0.01)
    assert "its mAP less the base's is +0.0100" in winner.claim


@pytest.mark.parametrize(
    ("low", "high", "doubt"),
    [
        (0.001, 0.02, ""),
        (-0.001, 0.02, "not distinguishable from the base"),
        (-0.3, -0.1, "worse than the base"),
    ],
)
def test_only_an_interval_above_0_makes_a_gain_certain(low: float, high: float, doubt: str) -> None:
    gain, is_certain = Gain(difference=0.01, low=low, high=high), not doubt
    assert (gain.is_certain, gain.doubt) == (is_certain, doubt)
    status = SearchStatus(
        name="s", folder="f", phase=Phase.SUCCEEDED, trials=1, improved=True, gain=gain
    )
    assert status.is_certain is is_certain


def test_winner_of_an_earlier_search_says_that_its_error_is_unknown() -> None:
    student, base = trained(3, score(0.31)), trained(None, score(0.3))
    winner = compare_with_base(Winner(student, "trial 3 is it"), base, lambda _: False)
    assert winner.gain is None
    assert "the error of H is unknown" in winner.claim
    assert "measured on the validation images it was selected on" in winner.claim
    assert "unseen test images" in replace(winner, on_test=student).claim


def test_gain_reads_as_numbers_with_signs() -> None:
    text = "+0.0123, 95 % interval -0.0080 to +0.0310"
    assert str(Gain(difference=0.0123, low=-0.008, high=0.031)) == text


@pytest.mark.parametrize(("images", "is_few"), [(50, True), (199, True), (200, False), (0, False)])
def test_interval_over_few_images_says_how_often_such_intervals_hold(
    images: int, is_few: bool
) -> None:
    gain = Gain(difference=0.02, low=0.01, high=0.03, images=images)
    assert ("with 50, 93.7 % of simulated ones held" in gain.claim) == is_few
    assert gain.claim.startswith("its H less the base's is +0.0200")
