"""The summary: the same whatever the order of trials, and equal to a count by hand."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger import LedgerEntry, Summary, fold
from detnas.ledger.summary import LATEST_DURATIONS, needed, tried
from detnas.records.proposal import Step
from detnas.records.results import Outcome
from detnas.spec.search import Search
from tests.detnas.trials import (
    SPACE,
    Simulation,
    failed,
    proposal,
    searched,
    succeeded,
    summary_of,
)

ENTRIES = list(searched(40, parallelism=4).entries.values())


@given(st.permutations(ENTRIES), st.integers(0, 40))
def test_fold_does_not_depend_on_order_and_batches(entries: list[LedgerEntry], cut: int) -> None:
    in_order = summary_of(sorted(ENTRIES, key=lambda entry: entry.index))
    assert fold(summary_of(entries[:cut]), entries[cut:]) == in_order


@given(st.lists(st.sampled_from(ENTRIES), max_size=60))
def test_fold_ignores_a_known_trial(entries: list[LedgerEntry]) -> None:
    distinct = list({entry.index: entry for entry in entries}.values())
    assert summary_of(entries) == summary_of(distinct)


@given(st.sets(st.sampled_from(range(40))), st.integers(1, 12))
def test_summary_equals_a_count_by_hand(chosen: set[int], top_k: int) -> None:
    entries = [entry for entry in ENTRIES if entry.index in chosen]
    summary = summary_of(entries, top_k)
    assert summary.finished_count == len(entries)
    assert summary.outcomes == Counter(entry.outcome for entry in entries)
    assert summary.next_index == max(chosen, default=-1) + 1
    assert {index for index in range(50) if summary.knows(index)} == chosen
    ranked = sorted((e for e in entries if e.h is not None), key=lambda e: (-(e.h or 0), e.index))
    assert summary.top == tuple(ranked[:top_k])
    assert summary.best == (ranked[0] if ranked else None)
    since = ranked[0].index if ranked else -1
    lost = {e.index for e in entries if e.outcome is Outcome.INFRASTRUCTURE}
    assert summary.lost_count == len(lost)
    timed = sorted((e.index, round(e.seconds * 1000)) for e in entries if e.index not in lost)
    assert summary.durations == tuple(timed[-LATEST_DURATIONS:])
    assert summary.trials_since_best == len({e.index for e in entries if e.index > since} - lost)


@given(st.permutations(ENTRIES))
def test_front_has_what_nothing_dominates(entries: list[LedgerEntry]) -> None:
    points = [(e.index, s.map, s.flops) for e in entries for s in e.scores]
    undominated = {
        point
        for point in points
        if not any(
            o[1] >= point[1] and o[2] <= point[2] and (o[1], o[2]) != (point[1], point[2])
            for o in points
        )
    }
    front = summary_of(entries).front
    assert {(p.map, p.flops) for p in front} == {(p[1], p[2]) for p in undominated}
    assert [p.flops for p in front] == sorted({p.flops for p in front})
    assert [p.map for p in front] == sorted({p.map for p in front})


def test_fold_prefers_the_earlier_of_equal_students() -> None:
    early, late = (succeeded(proposal(index), 0.3, 0.4) for index in (1, 2))
    for entries in ([early, late], [late, early]):
        summary = summary_of(entries, top_k=1)
        assert summary.top == (early,)
        assert {point.index for point in summary.front} == {1}


def test_fold_counts_failures_and_does_not_rank_them() -> None:
    failures = [failed(proposal(i), outcome) for i, outcome in enumerate(list(Outcome)[1:])]
    summary = summary_of(failures)
    assert (summary.finished_count, summary.top, summary.best, summary.front) == (4, (), None, ())
    assert (summary.trials_since_best, summary.lost_count) == (3, 1)


@given(st.permutations(range(12)))
def test_summary_has_the_latest_failures_whatever_finished_first(order: list[int]) -> None:
    entries = [
        failed(proposal(i), Outcome.DIVERGED) if i % 2 else succeeded(proposal(i), 0.3, 0.4)
        for i in order
    ]
    assert [entry.index for entry in summary_of(entries).failures] == [3, 5, 7, 9, 11]


def test_fold_adds_all_outcomes_but_infrastructure_to_those_tried() -> None:
    for outcome in list(Outcome)[1:]:
        summary = summary_of([failed(proposal(3, parent=1), outcome)])
        again = proposal(9, parent=1)
        assert (tried(again) in summary.tried) == (outcome is not Outcome.INFRASTRUCTURE)
        assert tried(proposal(9, parent=2)) not in summary.tried


def test_tried_has_children_of_possible_parents_only() -> None:
    best, other = (succeeded(proposal(index), mean_ap) for index, mean_ap in ((0, 0.5), (1, 0.4)))
    children = [failed(proposal(2 + parent, parent), Outcome.DIVERGED) for parent in (0, 1)]
    expected = {tried(one.proposal) for one in (best, other, children[0])}
    for order in ([best, other, *children], [*children, other, best]):
        assert summary_of(order, top_k=1).tried == expected


def test_tried_depends_on_everything_but_number_and_seed() -> None:
    plain = proposal(1, parent=5)
    assert tried(plain) == tried(proposal(2, parent=5, seed=77))
    changes: list[dict[str, object]] = [
        {"step": Step.BASELINE},
        {"teacher": SPACE.smallest},
        {"action": {"kind": "AddLayer", "stage": 1}},
        {"action": {"kind": "AddLayer", "stage": 2}},
        {"action": {"kind": "ChannelPruning", "fraction": "0.05"}},
        {"action": {"kind": "ChannelPruning", "fraction": "0.1"}},
    ]
    others = {tried(proposal(1, 5, **change)) for change in changes}
    assert len(others | {tried(plain), tried(proposal(1, parent=4))}) == len(changes) + 2


def test_stale_counts_by_number_so_that_a_restart_finds_the_same() -> None:
    best, slow, after = (succeeded(proposal(i), m) for i, m in ((2, 0.9), (1, 0.1), (3, 0.2)))
    assert summary_of([best, slow]).trials_since_best == 0
    assert (
        summary_of([best, slow, after]).trials_since_best
        == summary_of([after, best]).trials_since_best
        == 1
    )


def test_fold_does_not_change_its_argument() -> None:
    before = summary_of(ENTRIES[:10])
    kept = (before.finished_count, before.tried, dict(before.outcomes), before.top)
    fold(before, Random(1).sample(ENTRIES, 40))
    assert (before.finished_count, before.tried, before.outcomes, before.top) == kept
    assert Summary(top_k=5).finished_count == 0


def test_needed_has_candidates_parents_in_flight_and_the_front() -> None:
    cheap_but_poor = succeeded(proposal(0), 0.25, 0.2)
    candidate = succeeded(proposal(1), 0.1, 0.5)
    parent = succeeded(proposal(2), 0.1, 0.3)
    nothing = succeeded(proposal(3), 0.1, 0.2)
    failure = failed(proposal(4), Outcome.OUT_OF_MEMORY)
    entries = [cheap_but_poor, candidate, parent, nothing, failure]
    summary = summary_of(entries, top_k=1)
    in_flight = [proposal(5, parent=2), proposal(6)]
    assert needed(summary, in_flight) == {0, 1, 2}
    assert needed(summary, []) == {0, 1}


def test_needed_never_names_a_trial_again() -> None:
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
