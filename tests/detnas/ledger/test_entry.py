"""An entry's duration and lineage."""

import pytest

from detnas.errors import UserError
from detnas.ledger import LedgerEntry, ledger_entry, lineage
from detnas.records.proposal import Step
from detnas.records.results import DetectorResult
from tests.detnas.trials import BASE, proposal, result, searched, succeeded


def _by_number(*entries: LedgerEntry) -> dict[int, LedgerEntry]:
    return {entry.index: entry for entry in entries}


def test_lineage_leads_from_the_base_to_the_trial() -> None:
    search = searched(60, parallelism=4)
    for index in search.entries:
        chain = lineage(search.entries, index)
        assert chain[-1].index == index
        assert chain[0].proposal.parent is None
        parents = [entry.proposal.parent for entry in chain[1:]]
        assert parents == [entry.index for entry in chain[:-1]]


def test_lineage_refuses_a_chain_with_a_missing_trial() -> None:
    entries = _by_number(succeeded(proposal(0), 0.4), succeeded(proposal(3, parent=2), 0.4))
    with pytest.raises(UserError, match="trial 2 has no result"):
        lineage(entries, 3)
    with pytest.raises(UserError, match="trial 7 has no result"):
        lineage(entries, 7)


def test_lineages_start_at_the_baseline_after_the_warm_up() -> None:
    search = searched(30)
    steps = {chain[0].proposal.step for chain in (lineage(search.entries, i) for i in range(30))}
    assert Step.BASELINE in steps


def test_ledger_entry_has_the_seconds_of_all_attempts_and_at_least_of_the_last() -> None:
    assert _seconds(result(0), {}) == 30
    assert _seconds(result(0), {"training": 4000.0, "evaluating": 200.0}) == 4200
    assert _seconds(result(0), {"training": 20.0}) == 30


@pytest.mark.parametrize("stated", [-1e9, float("inf"), float("nan")])
def test_ledger_entry_ignores_impossible_seconds(stated: float) -> None:
    assert _seconds(result(0), {"training": stated}) == 30
    assert _seconds(result(0), {"training": 1e300}) < 1e9


def _seconds(last: DetectorResult, stated: dict[str, float]) -> float:
    return ledger_entry(proposal(0), last.model_copy(update={"seconds": stated}), BASE).seconds
