"""Estimates of mAP from a measurement and the parent's estimate."""

from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger import LedgerEntry, fold, ledger_entry
from detnas.ledger.estimates import (
    TYPICAL_SPREAD,
    ObservedChanges,
    expected,
    expected_of_base,
    shrunk,
    squared_change,
    step_spread,
    with_estimates,
)
from detnas.records.proposal import ExpectedScore, Prior
from detnas.records.results import Score
from detnas.score import ResolutionScore
from tests.detnas.trials import BASE, LARGE, proposal, result, score, summary_of

fractions = st.floats(0, 1)
errors = st.floats(0, 0.2)


def parent(mean_ap: float, error: float) -> ExpectedScore:
    return ExpectedScore(resolution=LARGE, map=mean_ap, error=error)


def measured(mean_ap: float, error: float | None, replicates: tuple[float, ...] = ()) -> Score:
    return score(LARGE, mean_ap).model_copy(update={"map_error": error, "replicates": replicates})


def scored(mean_ap: float, error: float | None) -> ResolutionScore:
    return ResolutionScore(resolution=LARGE, map=mean_ap, flops=1, h=2 * mean_ap, map_error=error)


def test_shrunk_weighs_measurement_and_parent_by_their_variances() -> None:
    """s² + q² = 0.0025 against e² = 0.01: a fifth of the way, and e √(1/5) remains."""
    found = shrunk(0.5, 0.1, parent(0.4, 0.03), spread=0.04)
    assert found.map == pytest.approx(0.42)
    assert found.error == pytest.approx(0.1 / sqrt(5))


@given(fractions, errors, fractions, errors, errors)
def test_shrunk_lies_between_parent_and_measurement_and_is_surer_than_both(
    mean_ap: float, noise: float, before: float, error: float, spread: float
) -> None:
    found = shrunk(mean_ap, noise, parent(before, error), spread)
    assert min(mean_ap, before) - 1e-12 <= found.map <= max(mean_ap, before) + 1e-12
    assert found.error <= min(noise, sqrt(error**2 + spread**2)) + 1e-12


def test_measurement_without_noise_or_parent_is_the_estimate() -> None:
    assert shrunk(0.5, 0.0, parent(0.4, 0.01), 0.02).map == 0.5
    alone = shrunk(0.5, 0.1, None, 0.02)
    assert (alone.map, alone.error) == (0.5, 0.1)


def test_noise_that_all_detectors_share_does_not_count() -> None:
    """The replicates of trial and base move alike: their difference is certain."""
    draws = [Random(seed).gauss(0, 0.05) for seed in range(40)]
    base = measured(0.4, 0.05, tuple(0.4 + draw for draw in draws))
    ours = measured(0.45, 0.05, tuple(0.45 + draw for draw in draws))
    prior = Prior(parent=expected_of_base([base]), spread=0.02)
    (found,) = with_estimates([scored(0.45, 0.05)], prior, [ours], [base])
    assert found.estimate is not None
    assert found.estimate.noise == pytest.approx(0, abs=1e-9)
    assert found.estimate.map == pytest.approx(0.45)
    (alone,) = with_estimates([scored(0.45, 0.05)], prior)
    assert alone.estimate is not None
    assert alone.estimate.noise == 0.05


def test_trial_without_error_counts_as_measured() -> None:
    prior = Prior(parent=(parent(0.4, 0.01),), spread=0.02)
    (found,) = with_estimates([scored(0.5, None)], prior)
    assert (found.estimate, found.estimated_h) == (None, 1.0)
    assert expected([found]) == ()
    assert squared_change([found], prior) is None


def test_h_of_an_estimate_keeps_the_factor_of_complexity() -> None:
    prior = Prior(parent=(parent(0.4, 0.0),), spread=0.02)
    (found,) = with_estimates([scored(0.5, 0.02)], prior)
    assert found.estimate is not None
    assert found.estimated_h == pytest.approx(2 * found.estimate.map)
    assert found.h == 1.0


@pytest.mark.parametrize(("true", "noise"), [(0.04, 0.02), (0.01, 0.01), (0.03, 0.0)])
def test_spread_of_changes_is_found_behind_the_noise(true: float, noise: float) -> None:
    random, changes, before = Random(0), ObservedChanges(), parent(0.4, 0.01)
    prior = Prior(parent=(before,), spread=TYPICAL_SPREAD)
    for _ in range(400):
        mean_ap = 0.4 + random.gauss(0, before.error) + random.gauss(0, true)
        found = with_estimates([scored(random.gauss(mean_ap, noise), noise)], prior)
        square = squared_change(found, prior)
        assert square is not None
        changes = changes.with_trial(square)
    assert step_spread({"AddLayer": changes}, "AddLayer") == pytest.approx(true, rel=0.15)
    assert step_spread({"AddLayer": changes}, "Teacher") == pytest.approx(true, rel=0.15)


def test_spread_is_never_nothing() -> None:
    """Else measurements would no longer count, and the search would stand still."""
    changes = ObservedChanges()
    assert step_spread({}, "AddLayer") == pytest.approx(TYPICAL_SPREAD)
    for _ in range(1000):
        changes = changes.with_trial(-1_000_000)
    assert step_spread({"AddLayer": changes}, "AddLayer") > 0


def _entry(index: int) -> LedgerEntry:
    random = Random(index)
    prior = Prior(parent=(parent(0.4, 0.01),), spread=random.uniform(0.01, 0.03))
    found = result(index)
    scores = (measured(random.uniform(0.3, 0.5), random.choice([0.02, 0.04, None])),)
    return ledger_entry(
        proposal(index, prior=prior), found.model_copy(update={"scores": scores}), BASE
    )


ENTRIES = [_entry(index) for index in range(30)]


@given(st.permutations(ENTRIES), st.integers(0, 30))
def test_summary_of_estimates_does_not_depend_on_order(
    entries: list[LedgerEntry], cut: int
) -> None:
    summary = fold(summary_of(entries[:cut]), entries[cut:])
    assert summary == summary_of(ENTRIES)
    ranked = sorted(ENTRIES, key=lambda entry: (-(entry.selected_h or 0), entry.index))
    assert summary.top == tuple(ranked[:5])
    assert summary.top != tuple(sorted(ENTRIES, key=lambda e: (-(e.h or 0), e.index))[:5])
    assert sum(one.trials for one in summary.changes.values()) == len(
        [entry for entry in ENTRIES if entry.estimated_h is not None]
    )
