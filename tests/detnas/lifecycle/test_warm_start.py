"""A warm start: what a search inherits, and that it then does not need the source."""

from pathlib import Path

from detnas.records.results import Outcome, Result
from detnas.records.verbs import Verb
from detnas.store import Store
from tests.detnas.searches.in_process import WARM_START, Scheduler, delete, entries, reread, tiny


def test_warm_start_continues_the_numbers_and_trains_neither_base_nor_pool(
    store: Store, scheduler: Scheduler
) -> None:
    one = tiny(store, "one")
    first = scheduler.run(one)
    scheduler.done.clear()
    two = tiny(store, "two", WARM_START, trials=4)
    state = scheduler.run(two)
    assert (scheduler.ran(Verb.BASE), scheduler.ran(Verb.POOL)) == ([], [])
    assert scheduler.ran(Verb.EVALUATE) == [6, 7, 8, 9]
    assert state.trials == 4
    assert state.end is not None
    assert "4 trials" in state.end.message
    known, found = entries(one, first), entries(two, state)
    assert [entry.index for entry in found] == list(range(10))
    assert [entry.inherited for entry in found] == [True] * 6 + [False] * 4
    assert [entry.h for entry in found[:6]] == [entry.h for entry in known]
    assert {entry.proposal.parent for entry in found[6:]} <= set(range(10))
    assert any((entry.proposal.parent or 9) < 6 for entry in found[6:]), (
        "no trial has an inherited parent"
    )
    assert state.history.summary.outcomes == {Outcome.SUCCEEDED: 4}


def test_warm_start_survives_deletion_of_the_source(store: Store, scheduler: Scheduler) -> None:
    one, two = tiny(store, "one"), tiny(store, "two", WARM_START, trials=3)
    scheduler.run(one)
    scheduler.run(two)
    before = reread(two)
    delete(one)
    after = reread(two)
    assert after == before
    for entry in after.history.summary.top:
        assert entry.weights is not None
        assert entry.weights.key.startswith(f"{two.requests.search}/")
        assert store.size(entry.weights.key) == entry.weights.size
    more = tiny(store, "two", WARM_START, trials=5)
    assert more.requests.search == two.requests.search
    assert scheduler.run(more).trials == 5


def test_inherited_trials_are_scored_with_the_new_weights_of_h(
    store: Store, scheduler: Scheduler
) -> None:
    one = tiny(store, "one")
    first = scheduler.run(one)
    two = tiny(store, "two", WARM_START, trials=1, alpha="0.1", beta="0.2")
    state = scheduler.run(two)
    assert state.scorer is not None
    for old, new in zip(entries(one, first), entries(two, state), strict=False):
        assert old.flops is not None
        assert new.flops == old.flops
        expected = [
            state.scorer.objective.h(score.map, old.flops / state.scorer.flops, score.resolution)
            for score in old.scores
        ]
        assert [score.h for score in new.scores] == expected
        assert new.h == max(expected)
        assert new.h != old.h


def test_inherited_trials_fill_segments(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=130, patience=1000))
    two = tiny(store, "two", WARM_START, trials=75, patience=1000)
    state = scheduler.run(two)
    assert [entry.index for entry in entries(two, state)] == list(range(205))
    ledger = list(store.list(f"{two.requests.search}/ledger/"))
    assert [key[-9:] for key in ledger if "folded" not in key] == ["0000.json", "0001.json"]
    again = reread(two)
    assert again.history.summary == state.history.summary
    assert again.trials == 75


def test_warm_start_leaves_out_trials_that_have_not_ended_or_were_lost(
    store: Store, tmp_path: Path
) -> None:
    lost = iter([False, True])

    def sometimes_lost(result: Result) -> Result:
        if not next(lost, False):
            return result
        return result.model_copy(update={"outcome": Outcome.INFRASTRUCTURE, "files": {}})

    scheduler = Scheduler(tmp_path, {Verb.EVALUATE: sometimes_lost}, unanswered={3})
    one = tiny(store, "one", trials=8, parallelism=3)
    first = scheduler.run(one)
    taken = [e for e in entries(one, first) if e.outcome is not Outcome.INFRASTRUCTURE]
    assert {1, 3} <= set(range(8)) - {entry.index for entry in taken}
    two = tiny(store, "two", WARM_START, trials=1)
    found = entries(two, Scheduler(tmp_path).run(two))
    numbers = {entry.index: number for number, entry in enumerate(taken)}
    assert [e.proposal.action for e in found[:-1]] == [e.proposal.action for e in taken]
    assert [e.proposal.parent for e in found[:-1]] == [
        None if e.proposal.parent is None else numbers[e.proposal.parent] for e in taken
    ]
    assert found[-1].index == len(taken)


def test_patience_counts_own_trials_only(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=12))
    two = tiny(store, "two", WARM_START, trials=50, patience=3, alpha="0.0")
    state = scheduler.run(two)
    assert state.trials >= 3


def test_collect_deletes_inherited_weights_like_own(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=6))
    two = tiny(store, "two", WARM_START, trials=40, patience=1000)
    state = scheduler.run(two)
    copied = [
        key
        for key in store.list(f"{two.requests.search}/inherited/")
        if key.endswith(".safetensors")
    ]
    needed = {entry.weights.key for entry in state.history.summary.top if entry.weights}
    on_front = {point.index for point in state.history.summary.front}
    assert all(key in needed or _number(key) in on_front for key in copied)


def _number(key: str) -> int:
    return int(key.split("/")[-2])
