"""H as the paper prints it, and what it must prefer."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.actions import prune_layer
from detnas.architecture import Place
from detnas.errors import UserError
from detnas.ledger import ledger_entry
from detnas.records.latency import RelativeLatency
from detnas.records.results import DetectorResult
from detnas.records.settings import Resolution
from detnas.score import Objective, ResolutionScore, Scorer, best
from tests.detnas.trials import BASE, LARGE, SMALL, proposal, result

WIDE, MIDDLE = Resolution(width=1333, height=800), Resolution(width=1080, height=720)
PAPER = Objective(base_resolution=WIDE, alpha=0.4, beta=0.8)
fractions = st.floats(0.01, 1)


def test_h_equals_a_calculation_by_hand() -> None:
    # (700 / 1000) × (777600 / 1066400)^0.8 = 0.7 × 0.776727 = 0.543709; ^-0.4 = 1.276008
    assert PAPER.h(0.439, 0.7, MIDDLE) == pytest.approx(0.439 * 1.276008, rel=2e-6)
    logarithm = math.log(0.439) - 0.4 * (math.log(0.7) + 0.8 * math.log(777_600 / 1_066_400))
    assert PAPER.h(0.439, 0.7, MIDDLE) == pytest.approx(math.exp(logarithm), rel=1e-12)


def test_h_depends_on_alpha_and_on_beta() -> None:
    quarter = Resolution(width=50, height=50)
    objective = Objective(Resolution(width=100, height=100), alpha=0.5, beta=1.0)
    assert objective.h(0.2, 1.0, quarter) == pytest.approx(0.4)
    assert objective.h(0.2, 0.25, quarter) == pytest.approx(0.8)
    assert Objective(quarter, alpha=0.0, beta=1.0).h(0.2, 0.25, quarter) == 0.2


@given(fractions)
def test_h_of_the_base_at_its_resolution_is_its_map(mean_ap: float) -> None:
    assert PAPER.h(mean_ap, 1.0, WIDE) == mean_ap


@given(fractions, st.floats(1e-6, 1e6))
def test_h_rises_with_less_complexity_and_fewer_pixels_at_equal_map(
    mean_ap: float, relative: float
) -> None:
    assert PAPER.h(mean_ap, relative / 2, WIDE) > PAPER.h(mean_ap, relative, WIDE)
    assert PAPER.h(mean_ap, relative, MIDDLE) > PAPER.h(mean_ap, relative, WIDE)


def test_best_returns_the_highest_score_and_the_first_of_equals() -> None:
    low = ResolutionScore(resolution=SMALL, map=0.3, flops=1, h=0.5)
    high = ResolutionScore(resolution=LARGE, map=0.4, flops=2, h=0.6)
    assert best([low, high]) == high
    equal = low.model_copy(update={"h": 0.6})
    assert best([equal, high]) == equal
    with pytest.raises(ValueError, match="empty"):
        best([])


def test_ledger_entry_scores_every_resolution_by_flops_at_the_base_resolution() -> None:
    entry = ledger_entry(proposal(1), result(1, (0.3, 0.4)), BASE)
    small, large = entry.scores
    assert entry.flops == large.flops == BASE.flops
    assert small.flops == BASE.flops_of(BASE.architecture, SMALL) < large.flops
    ratio = (SMALL.pixels / LARGE.pixels) ** 0.8
    assert small.h == pytest.approx(0.3 * ratio**-0.4)
    assert large.h == pytest.approx(0.4)
    assert entry.best == large
    assert entry.h == large.h


def test_ledger_entry_scores_a_smaller_student_higher_at_equal_map() -> None:
    smaller = prune_layer(BASE.architecture, Place(2, 1)).architecture
    entry = ledger_entry(proposal(1), result(1, (0.3, 0.4), smaller), BASE)
    assert entry.flops is not None
    assert entry.parameters is not None
    assert entry.flops == BASE.flops_of(smaller, LARGE) < BASE.flops
    assert entry.h == pytest.approx(0.4 * (entry.flops / BASE.flops) ** -0.4)
    small = BASE.flops_of(smaller, SMALL)
    assert [score.flops for score in entry.scores] == [small, entry.flops]


def test_ledger_entry_refuses_success_without_a_student() -> None:
    lacks: list[dict[str, object]] = [{"architecture": None}, {"scores": ()}, {"files": {}}]
    for lacking in lacks:
        with pytest.raises(UserError, match="result of trial 1: it succeeded without"):
            ledger_entry(proposal(1), result(1).model_copy(update=lacking), BASE)


def timed(mean_aps: tuple[float, float], *relative: float, base: float = 10.0) -> DetectorResult:
    """A trial's result on the base's architecture, so many times as slow as the base."""
    found = result(1, mean_aps)
    scores = tuple(
        score.model_copy(
            update={
                "latency": RelativeLatency(
                    milliseconds=times * base, base_milliseconds=base, device="GPU"
                )
            }
        )
        for score, times in zip(found.scores, relative, strict=True)
    )
    return found.model_copy(update={"scores": scores})


BY_LATENCY = replace(BASE, by_latency=True, scores=timed((0.3, 0.5), 1.0, 1.0, base=8.0).scores)


def test_h_by_latency_takes_that_of_each_resolution_relative_to_the_base() -> None:
    small, large = ledger_entry(proposal(1), timed((0.3, 0.4), 0.5, 2.0), BY_LATENCY).scores
    ratio = (SMALL.pixels / LARGE.pixels) ** 0.8
    assert small.h == pytest.approx(0.3 * (0.5 * ratio) ** -0.4)
    assert large.h == pytest.approx(0.4 * 2.0**-0.4)
    assert [score.h for score in BY_LATENCY.scored] == pytest.approx([0.3 * ratio**-0.4, 0.5])
    by_flops = ledger_entry(proposal(1), timed((0.3, 0.4), 0.5, 2.0), BASE)
    assert by_flops == ledger_entry(proposal(1), result(1, (0.3, 0.4)), BASE)


def test_latencies_of_jobs_that_measured_another_base_are_comparable() -> None:
    quick, slow = (timed((0.3, 0.4), 0.5, 2.0, base=base) for base in (4.0, 40.0))
    entries = [ledger_entry(proposal(1), one, BY_LATENCY) for one in (quick, slow)]
    assert entries[0] == entries[1]
    small, large = (score.latency for score in entries[0].scores)
    assert small
    assert large
    assert [small.milliseconds, large.milliseconds] == pytest.approx([4.0, 16.0])


def test_h_by_latency_refuses_a_result_without() -> None:
    with pytest.raises(UserError, match=r"search.objective is Latency, .* without latencies"):
        ledger_entry(proposal(1), result(1), BY_LATENCY)


def test_base_facts_score_the_base_at_every_resolution() -> None:
    better_small = Scorer(
        BASE.architecture, BASE.detector, BASE.classes, LARGE, 0.4, 0.8, BASE.scores[:1]
    )
    assert best(BASE.scored).resolution == LARGE
    assert best(BASE.scored).h == pytest.approx(0.5)
    assert best(better_small.scored).h > 0.3
