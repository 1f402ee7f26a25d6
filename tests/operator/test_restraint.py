"""What keeps a search from burning money."""

from decimal import Decimal

import pytest

from detnas.ledger import LedgerEntry, Summary, fold, ledger_entry
from detnas.reasons import Reason, ReasonCode
from detnas.records.results import DetectorResult, Outcome
from detnas.spec.limits import Limits
from detnas.spec.manifest import SearchSpec
from detnas_operator.reconcile.restraint import restraint
from tests.cluster.searches import manifest
from tests.detnas.trials import BASE, START, proposal, result

SPEC = SearchSpec.model_validate(manifest("one")["spec"])


def spec(**changes: object) -> SearchSpec:
    return SPEC.model_copy(update=changes)


def entry(index: int, outcome: Outcome) -> LedgerEntry:
    if outcome is Outcome.SUCCEEDED:
        return ledger_entry(proposal(index), result(index), BASE)
    failed = DetectorResult(outcome=outcome, message="why\nthe log", started=START, finished=START)
    return ledger_entry(proposal(index), failed, BASE)


def trials(*outcomes: Outcome) -> Summary:
    return fold(Summary(top_k=2), [entry(i, outcome) for i, outcome in enumerate(outcomes)])


def test_nothing_restrains_a_search_that_goes_well() -> None:
    assert not restraint(SPEC, trials(Outcome.SUCCEEDED), 0, 0).starts_nothing


def test_a_suspended_search_runs_nothing() -> None:
    held = restraint(spec(suspend=True), trials(), 0, 0)
    assert held.suspended
    assert held.ends_running
    assert held.starts_nothing


@pytest.mark.parametrize(("hours", "halts"), [(1.99, False), (2.0, True), (3.0, True)])
def test_the_budget_ends_what_runs(hours: float, halts: bool) -> None:
    held = restraint(spec(limits=Limits(gpu_hours=Decimal(2))), trials(), hours * 3600, 0)
    assert held.starts_nothing is held.ends_running is halts
    if halts:
        assert held.halted is not None
        assert "spec.limits.gpuHours" in held.halted.message


def test_who_names_no_budget_has_the_administrators() -> None:
    held = restraint(SPEC, trials(), 2 * 3600, 0, None, Decimal(2))
    assert held.halted is not None
    assert "the administrator sets it" in held.halted.message
    own = spec(limits=Limits(gpu_hours=Decimal(1)))
    assert restraint(own, trials(), 1.5 * 3600, 0, None, Decimal(2)).ends_running
    assert not restraint(SPEC, trials(), 1.5 * 3600, 0, None, Decimal(2)).starts_nothing


BAD = Outcome.INFRASTRUCTURE
GOOD = Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("outcomes", "halts"),
    [
        ((BAD, BAD), False),
        ((BAD, BAD, BAD), True),
        ((GOOD, BAD, Outcome.OUT_OF_MEMORY, Outcome.INVALID), True),
        ((BAD, BAD, GOOD, BAD), False),
        ((BAD, BAD, BAD, GOOD), False),
    ],
)
def test_failures_in_a_row_start_nothing_more(outcomes: tuple[Outcome, ...], halts: bool) -> None:
    held = restraint(spec(limits=Limits(consecutive_failures=3)), trials(*outcomes), 0, 0)
    assert held.starts_nothing is halts
    assert not held.ends_running
    if halts:
        assert held.halted is not None
        assert "3 trials in a row" in held.halted.message
        assert "suspend and resume" in held.halted.message
        assert "the log" not in held.halted.message


def test_changed_data_starts_nothing_more_and_lets_what_runs_see_for_itself() -> None:
    changed = Reason(ReasonCode.DATA_CHANGED, "the annotations have changed")
    held = restraint(SPEC, trials(GOOD), 0, 0, changed)
    assert (held.halted, held.ends_running) == (changed, False)
    assert restraint(spec(suspend=True), trials(GOOD), 0, 0, changed).suspended


def test_forgiven_failures_do_not_count() -> None:
    limits = spec(limits=Limits(consecutive_failures=3))
    assert not restraint(limits, trials(BAD, BAD, BAD), 0, forgiven=3).starts_nothing
    assert restraint(limits, trials(*[BAD] * 6), 0, forgiven=3).starts_nothing


def test_trials_that_run_are_no_failures() -> None:
    ended = fold(Summary(top_k=2), [entry(0, BAD), entry(3, BAD)])
    assert not restraint(spec(limits=Limits(consecutive_failures=3)), ended, 0, 0).starts_nothing
