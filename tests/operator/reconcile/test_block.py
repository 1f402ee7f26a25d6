"""What keeps a search from starting jobs: suspension, budget, failures, changed data."""

from decimal import Decimal

import pytest

from detnas.ledger import LedgerEntry, Summary, fold, ledger_entry
from detnas.reasons import Reason, ReasonCode
from detnas.records.results import DetectorResult, Outcome
from detnas.spec.limits import Limits
from detnas.spec.manifest import SearchSpec
from detnas_operator.reconcile.block import find_block
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


def test_find_block_of_a_running_search_blocks_nothing() -> None:
    assert not find_block(SPEC, trials(Outcome.SUCCEEDED), 0, 0).starts_nothing


def test_find_block_of_a_suspended_search_ends_running_jobs() -> None:
    block = find_block(spec(suspend=True), trials(), 0, 0)
    assert block.suspended
    assert block.ends_running
    assert block.starts_nothing


@pytest.mark.parametrize(("hours", "blocks"), [(1.99, False), (2.0, True), (3.0, True)])
def test_find_block_with_a_used_up_budget_ends_running_jobs(hours: float, blocks: bool) -> None:
    block = find_block(spec(limits=Limits(gpu_hours=Decimal(2))), trials(), hours * 3600, 0)
    assert block.starts_nothing is block.ends_running is blocks
    if blocks:
        assert block.reason is not None
        assert "spec.limits.gpuHours" in block.reason.message


def test_find_block_without_a_budget_uses_the_administrators() -> None:
    block = find_block(SPEC, trials(), 2 * 3600, 0, None, Decimal(2))
    assert block.reason is not None
    assert "the administrator sets it" in block.reason.message
    own = spec(limits=Limits(gpu_hours=Decimal(1)))
    assert find_block(own, trials(), 1.5 * 3600, 0, None, Decimal(2)).ends_running
    assert not find_block(SPEC, trials(), 1.5 * 3600, 0, None, Decimal(2)).starts_nothing


BAD = Outcome.INFRASTRUCTURE
GOOD = Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("outcomes", "blocks"),
    [
        ((BAD, BAD), False),
        ((BAD, BAD, BAD), True),
        ((GOOD, BAD, Outcome.OUT_OF_MEMORY, Outcome.INVALID), True),
        ((BAD, BAD, GOOD, BAD), False),
        ((BAD, BAD, BAD, GOOD), False),
    ],
)
def test_find_block_after_failures_in_a_row_starts_nothing(
    outcomes: tuple[Outcome, ...], blocks: bool
) -> None:
    block = find_block(spec(limits=Limits(consecutive_failures=3)), trials(*outcomes), 0, 0)
    assert block.starts_nothing is blocks
    assert not block.ends_running
    if blocks:
        assert block.reason is not None
        assert "3 trials in a row" in block.reason.message
        assert "suspend and resume" in block.reason.message
        assert "the log" not in block.reason.message


def test_find_block_with_changed_data_leaves_running_jobs() -> None:
    changed = Reason(ReasonCode.DATA_CHANGED, "the annotations have changed")
    block = find_block(SPEC, trials(GOOD), 0, 0, changed)
    assert (block.reason, block.ends_running) == (changed, False)
    assert find_block(spec(suspend=True), trials(GOOD), 0, 0, changed).suspended


def test_find_block_ignores_forgiven_failures() -> None:
    limits = spec(limits=Limits(consecutive_failures=3))
    assert not find_block(limits, trials(BAD, BAD, BAD), 0, forgiven=3).starts_nothing
    assert find_block(limits, trials(*[BAD] * 6), 0, forgiven=3).starts_nothing


def test_find_block_ignores_trials_in_flight() -> None:
    ended = fold(Summary(top_k=2), [entry(0, BAD), entry(3, BAD)])
    assert not find_block(spec(limits=Limits(consecutive_failures=3)), ended, 0, 0).starts_nothing
