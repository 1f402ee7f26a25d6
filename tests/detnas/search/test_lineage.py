"""Where a student came from, and which weights may go."""

from random import Random

import pytest

from detnas.errors import UserError
from detnas.ledger import LedgerEntry, lineage
from detnas.ledger.retention import needed
from detnas.records.proposal import Step
from detnas.records.results import Outcome
from detnas.spec.search import Search
from tests.detnas.trials import Simulation, failed, folded, proposal, searched, succeeded


def _by_number(*entries: LedgerEntry) -> dict[int, LedgerEntry]:
    return {entry.index: entry for entry in entries}


def test_a_lineage_runs_from_the_base_to_the_trial() -> None:
    search = searched(60, parallelism=4)
    for index in search.entries:
        chain = lineage(search.entries, index)
        assert chain[-1].index == index
        assert chain[0].proposal.parent is None
        parents = [entry.proposal.parent for entry in chain[1:]]
        assert parents == [entry.index for entry in chain[:-1]]


def test_a_lineage_that_is_not_whole_is_refused() -> None:
    entries = _by_number(succeeded(proposal(0), 0.4), succeeded(proposal(3, parent=2), 0.4))
    with pytest.raises(UserError, match="trial 2 has no result"):
        lineage(entries, 3)
    with pytest.raises(UserError, match="trial 7 has no result"):
        lineage(entries, 7)


def test_what_may_still_be_asked_for_stays() -> None:
    cheap_but_poor = succeeded(proposal(0), 0.25, 0.2)
    candidate = succeeded(proposal(1), 0.1, 0.5)
    parent = succeeded(proposal(2), 0.1, 0.3)
    nothing = succeeded(proposal(3), 0.1, 0.2)
    failure = failed(proposal(4), Outcome.OUT_OF_MEMORY)
    entries = [cheap_but_poor, candidate, parent, nothing, failure]
    summary = folded(entries, top_k=1)
    in_flight = [proposal(5, parent=2), proposal(6)]
    assert needed(summary, in_flight) == {0, 1, 2}
    assert needed(summary, []) == {0, 1}


def test_a_whole_search_never_needs_what_was_collected() -> None:
    search = Simulation(Search(trials=80, parallelism=4, top_k=3, patience=1000))
    order, gone = Random(0), set[int]()
    search.fill()
    while search.in_flight:
        search.end(order.choice(search.in_flight))
        gone |= search.entries.keys() - needed(search.summary, search.in_flight)
        search.fill()
        assert not gone & needed(search.summary, search.in_flight)
        assert all(one.parent not in gone for one in search.in_flight)
        assert search.summary.best is None or search.summary.best.index not in gone
    assert len(gone) > 40


def test_the_first_trial_is_the_start_of_every_lineage_after_the_warm_up() -> None:
    search = searched(30)
    steps = {chain[0].proposal.step for chain in (lineage(search.entries, i) for i in range(30))}
    assert Step.BASELINE in steps
