"""The folded ledger: the same whatever the order, and never off from a count by hand."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger import LedgerEntry, Summary, fold
from detnas.ledger.summary import LATEST_DURATIONS, fingerprint
from detnas.records.proposal import Step
from detnas.records.results import Outcome
from tests.detnas.trials import SPACE, failed, folded, proposal, searched, succeeded

ENTRIES = list(searched(40, parallelism=4).entries.values())


@given(st.permutations(ENTRIES), st.integers(0, 40))
def test_the_order_and_the_batches_of_folding_do_not_matter(
    entries: list[LedgerEntry], cut: int
) -> None:
    in_order = folded(sorted(ENTRIES, key=lambda entry: entry.index))
    assert fold(folded(entries[:cut]), entries[cut:]) == in_order


@given(st.lists(st.sampled_from(ENTRIES), max_size=60))
def test_folding_a_trial_again_changes_nothing(entries: list[LedgerEntry]) -> None:
    distinct = list({entry.index: entry for entry in entries}.values())
    assert folded(entries) == folded(distinct)


@given(st.sets(st.sampled_from(range(40))), st.integers(1, 12))
def test_it_says_what_a_full_count_says(chosen: set[int], top_k: int) -> None:
    entries = [entry for entry in ENTRIES if entry.index in chosen]
    summary = folded(entries, top_k)
    assert summary.finished == len(entries)
    assert summary.outcomes == Counter(entry.outcome for entry in entries)
    assert summary.next_index == max(chosen, default=-1) + 1
    assert {index for index in range(50) if summary.knows(index)} == chosen
    ranked = sorted((e for e in entries if e.h is not None), key=lambda e: (-(e.h or 0), e.index))
    assert summary.top == tuple(ranked[:top_k])
    assert summary.best == (ranked[0] if ranked else None)
    since = ranked[0].index if ranked else -1
    lost = {e.index for e in entries if e.outcome is Outcome.INFRASTRUCTURE}
    assert summary.lost == len(lost)
    timed = sorted((e.index, round(e.seconds * 1000)) for e in entries if e.index not in lost)
    assert summary.durations == tuple(timed[-LATEST_DURATIONS:])
    assert summary.stale == len({e.index for e in entries if e.index > since} - lost)


@given(st.permutations(ENTRIES))
def test_the_front_is_what_nothing_dominates(entries: list[LedgerEntry]) -> None:
    points = [(e.index, s.map, s.flops) for e in entries for s in e.scores]
    undominated = {
        point
        for point in points
        if not any(
            o[1] >= point[1] and o[2] <= point[2] and (o[1], o[2]) != (point[1], point[2])
            for o in points
        )
    }
    front = folded(entries).front
    assert {(p.map, p.flops) for p in front} == {(p[1], p[2]) for p in undominated}
    assert [p.flops for p in front] == sorted({p.flops for p in front})
    assert [p.map for p in front] == sorted({p.map for p in front})


def test_of_equal_students_the_earlier_is_on_the_front_and_ranks_first() -> None:
    early, late = (succeeded(proposal(index), 0.3, 0.4) for index in (1, 2))
    for entries in ([early, late], [late, early]):
        summary = folded(entries, top_k=1)
        assert summary.top == (early,)
        assert {point.index for point in summary.front} == {1}


def test_failures_are_counted_and_not_ranked() -> None:
    failures = [failed(proposal(i), outcome) for i, outcome in enumerate(list(Outcome)[1:])]
    summary = folded(failures)
    assert (summary.finished, summary.top, summary.best, summary.front) == (4, (), None, ())
    assert (summary.stale, summary.lost) == (3, 1)


@given(st.permutations(range(12)))
def test_the_latest_failures_are_kept_whatever_ended_first(order: list[int]) -> None:
    entries = [
        failed(proposal(i), Outcome.DIVERGED) if i % 2 else succeeded(proposal(i), 0.3, 0.4)
        for i in order
    ]
    assert [entry.index for entry in folded(entries).failures] == [3, 5, 7, 9, 11]


def test_all_but_infrastructure_need_no_second_try() -> None:
    for outcome in list(Outcome)[1:]:
        summary = folded([failed(proposal(3, parent=1), outcome)])
        again = proposal(9, parent=1)
        assert summary.has_evaluated(again) == (outcome is not Outcome.INFRASTRUCTURE)
        assert not summary.has_evaluated(proposal(9, parent=2))


def test_a_fingerprint_tells_what_is_tried_apart_from_number_and_seed() -> None:
    plain = proposal(1)
    assert fingerprint(plain) == fingerprint(proposal(2, parent=1, seed=77))
    changes: list[dict[str, object]] = [
        {"step": Step.BASELINE},
        {"teacher": SPACE.smallest},
        {"action": {"kind": "AddLayer", "stage": 1}},
        {"action": {"kind": "AddLayer", "stage": 2}},
        {"action": {"kind": "ChannelPruning", "fraction": "0.05"}},
        {"action": {"kind": "ChannelPruning", "fraction": "0.1"}},
    ]
    others = {fingerprint(proposal(1, None, **change)) for change in changes}
    assert len(others | {fingerprint(plain)}) == len(changes) + 1


def test_patience_counts_by_number_so_that_late_finishers_are_the_same_after_a_restart() -> None:
    best, slow, after = (succeeded(proposal(i), m) for i, m in ((2, 0.9), (1, 0.1), (3, 0.2)))
    assert folded([best, slow]).stale == 0
    assert folded([best, slow, after]).stale == folded([after, best]).stale == 1


def test_a_summary_stays_as_it_was() -> None:
    before = folded(ENTRIES[:10])
    kept = (before.finished, dict(before.evaluated), dict(before.outcomes), before.top)
    fold(before, Random(1).sample(ENTRIES, 40))
    assert (before.finished, before.evaluated, before.outcomes, before.top) == kept
    assert Summary(5).finished == 0
