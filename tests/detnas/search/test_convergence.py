"""When `propose` returns that a search is finished, and when it continues."""

from detnas.ledger import LedgerEntry, Summary
from detnas.records.proposal import Proposal, Step
from detnas.records.results import Outcome
from detnas.search import EndReason, SearchEnd, propose
from detnas.spec.search import Search, Strategy
from tests.detnas.trials import (
    BASE,
    SPACE,
    failed,
    proposal,
    searched,
    succeeded,
    summary_of,
)


def test_propose_returns_finished_after_all_trials() -> None:
    search = searched(12, parallelism=3)
    lost = sum(e.outcome is Outcome.INFRASTRUCTURE for e in search.entries.values())
    assert len(search.proposals) == len(search.entries) == 12 + lost
    assert search.finished is not None
    assert search.finished.reason is EndReason.TRIALS
    assert "12 trials" in search.finished.message


def test_propose_counts_trials_in_flight_as_decided() -> None:
    search = Search(trials=2)
    in_flight = [proposal(0, step=Step.BASELINE), proposal(1)]
    found = propose(search, SPACE, BASE, Summary(top_k=5), in_flight)
    assert isinstance(found, SearchEnd)
    assert found.reason is EndReason.TRIALS


def test_propose_replaces_trials_lost_to_infrastructure() -> None:
    search = Search(trials=2)
    lost = [failed(proposal(index), Outcome.INFRASTRUCTURE) for index in range(5)]
    assert isinstance(propose(search, SPACE, BASE, summary_of(lost), []), Proposal)
    ended = [succeeded(proposal(5), 0.3), failed(proposal(6), Outcome.DIVERGED)]
    assert isinstance(propose(search, SPACE, BASE, summary_of([*lost, *ended]), []), SearchEnd)


def test_propose_returns_finished_when_patience_is_used_up() -> None:
    search = Search(trials=100, patience=3)
    entries: list[LedgerEntry] = [succeeded(proposal(0), 0.3), succeeded(proposal(1), 0.5)]
    entries += [succeeded(proposal(2), 0.4), failed(proposal(3), Outcome.DIVERGED)]
    assert isinstance(propose(search, SPACE, BASE, summary_of(entries), []), Proposal)
    entries.append(succeeded(proposal(4), 0.5))
    found = propose(search, SPACE, BASE, summary_of(entries), [])
    assert isinstance(found, SearchEnd)
    assert found.reason is EndReason.PATIENCE
    assert "3 finished trials" in found.message


def test_random_search_spends_all_trials_whatever_its_patience() -> None:
    search = Search(strategy=Strategy.RANDOM, trials=5, patience=1)
    entries = [succeeded(proposal(index), 0.9 - index / 10) for index in range(4)]
    assert isinstance(propose(search, SPACE, BASE, summary_of(entries), []), Proposal)
    entries.append(succeeded(proposal(4), 0.1))
    found = propose(search, SPACE, BASE, summary_of(entries), [])
    assert isinstance(found, SearchEnd)
    assert found.reason is EndReason.TRIALS


def test_lost_trials_do_not_use_up_patience() -> None:
    search = Search(trials=100, patience=3)
    entries: list[LedgerEntry] = [succeeded(proposal(0), 0.5)]
    entries += [failed(proposal(index), Outcome.INFRASTRUCTURE) for index in range(1, 8)]
    entries += [succeeded(proposal(8), 0.4), succeeded(proposal(9), 0.4)]
    assert isinstance(propose(search, SPACE, BASE, summary_of(entries), []), Proposal)
    entries.append(failed(proposal(10), Outcome.DIVERGED))
    assert isinstance(propose(search, SPACE, BASE, summary_of(entries), []), SearchEnd)


def test_propose_continues_after_a_late_better_score() -> None:
    search = Search(trials=100, patience=2)
    entries = [succeeded(proposal(index), 0.5) for index in (0, 1, 2)]
    assert isinstance(propose(search, SPACE, BASE, summary_of(entries), [proposal(3)]), SearchEnd)
    entries.append(succeeded(proposal(3), 0.6))
    assert isinstance(propose(search, SPACE, BASE, summary_of(entries), []), Proposal)
