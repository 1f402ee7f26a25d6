"""A search that goes on from another: what it takes over, and that it then stands on its own."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.given import Given
from detnas.lifecycle.inheriting import nearest
from detnas.lifecycle.obstacle import ObstacleError
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.state import SearchReader, SearchState
from detnas.plan.stages import Verb
from detnas.records.results import Outcome, Result
from detnas.search import LedgerEntry, read_entries
from detnas.store import Store, open_store
from detnas.teachers import TeacherSpace
from tests.detnas.lifecycle.pretended_searches import Scheduler, tiny

ONE = {"warmStart": {"from": "one"}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    return Scheduler(tmp_path)


def entries(search: StoredSearch, state: SearchState) -> list[LedgerEntry]:
    assert state.facts is not None
    return list(read_entries(search.store, search.requests.search, state.facts))


def reread(search: StoredSearch) -> SearchState:
    return SearchReader(search.store, search.requests).read()


def delete(search: StoredSearch) -> None:
    for key in list(search.store.list(f"{search.requests.search}/")):
        search.store.delete(key)


def test_it_goes_on_with_own_numbers_and_trains_neither_base_nor_pool(
    store: Store, scheduler: Scheduler
) -> None:
    one = tiny(store, "one")
    first = scheduler.run(one)
    scheduler.done.clear()
    two = tiny(store, "two", ONE, trials=4)
    state = scheduler.run(two)
    assert (scheduler.ran(Verb.BASE), scheduler.ran(Verb.POOL)) == ([], [])
    assert scheduler.ran(Verb.EVALUATE) == [6, 7, 8, 9]
    assert state.trials == 4
    assert state.finished is not None
    assert "4 trials" in state.finished.message
    known, found = entries(one, first), entries(two, state)
    assert [entry.index for entry in found] == list(range(10))
    assert [entry.inherited for entry in found] == [True] * 6 + [False] * 4
    assert [entry.h for entry in found[:6]] == [entry.h for entry in known]
    assert {entry.proposal.parent for entry in found[6:]} <= set(range(10))
    assert any((entry.proposal.parent or 9) < 6 for entry in found[6:]), "nothing was gone on from"
    assert state.history.summary.outcomes == {Outcome.SUCCEEDED: 4}


def test_it_outlives_the_other_search(store: Store, scheduler: Scheduler) -> None:
    one, two = tiny(store, "one"), tiny(store, "two", ONE, trials=3)
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
    more = tiny(store, "two", ONE, trials=5)
    assert more.requests.search == two.requests.search
    assert scheduler.run(more).trials == 5


def test_trials_are_scored_as_the_new_search_wants(store: Store, scheduler: Scheduler) -> None:
    one = tiny(store, "one")
    first = scheduler.run(one)
    two = tiny(store, "two", ONE, trials=1, alpha="0.1", beta="0.2")
    state = scheduler.run(two)
    assert state.facts is not None
    for old, new in zip(entries(one, first), entries(two, state), strict=False):
        assert old.flops is not None
        assert new.flops == old.flops
        expected = [
            state.facts.objective.h(score.map, old.flops, score.resolution) for score in old.scores
        ]
        assert [score.h for score in new.scores] == expected
        assert new.h == max(expected)
        assert new.h != old.h


def test_a_hundred_trials_and_more_fill_the_ledgers_segments(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.run(tiny(store, "one", trials=130, patience=1000))
    two = tiny(store, "two", ONE, trials=75, patience=1000)
    state = scheduler.run(two)
    assert [entry.index for entry in entries(two, state)] == list(range(205))
    ledger = list(store.list(f"{two.requests.search}/ledger/"))
    assert [key[-9:] for key in ledger if "folded" not in key] == ["0000.json", "0001.json"]
    again = reread(two)
    assert again.history.summary == state.history.summary
    assert again.trials == 75


def test_what_has_not_ended_or_was_lost_is_left_out(store: Store, tmp_path: Path) -> None:
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
    two = tiny(store, "two", ONE, trials=1)
    found = entries(two, Scheduler(tmp_path).run(two))
    numbers = {entry.index: number for number, entry in enumerate(taken)}
    assert [e.proposal.action for e in found[:-1]] == [e.proposal.action for e in taken]
    assert [e.proposal.parent for e in found[:-1]] == [
        None if e.proposal.parent is None else numbers[e.proposal.parent] for e in taken
    ]
    assert found[-1].index == len(taken)


def test_patience_counts_own_trials(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=12))
    two = tiny(store, "two", ONE, trials=50, patience=3, alpha="0.0")
    state = scheduler.run(two)
    assert state.trials >= 3


def test_whatever_moment_it_dies_at_it_takes_the_same_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other search goes on meanwhile, and collects weights that it needs no more."""
    scheduler = Scheduler(tmp_path)
    scheduler.run(tiny(store, "one", trials=4))
    two = tiny(store, "two", ONE, trials=2)
    writes = 0
    while True:
        writes += 1
        if _settles_within(two, scheduler, writes, monkeypatch):
            break
        scheduler.run(tiny(store, "one", trials=4 + writes, patience=1000))
    assert writes > 5
    state = scheduler.run(two)
    found = entries(two, state)
    assert [entry.index for entry in found] == list(range(len(found)))
    assert state.trials == 2
    assert len(found) >= 6
    for entry in state.history.summary.top:
        assert entry.weights is not None
        assert store.size(entry.weights.key) == entry.weights.size


def test_a_process_that_dies_soon_after_every_start_comes_to_the_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(tmp_path)
    scheduler.run(tiny(store, "one", trials=4))
    two = tiny(store, "two", ONE, trials=2)
    scheduler.prepare(two)
    starts = 1
    while not _settles_within(two, scheduler, 1, monkeypatch):
        starts += 1
        assert starts < 50
    assert starts > 5
    assert scheduler.run(two).trials == 2


class Died(BaseException):
    """The process died at this write."""


def _settles_within(
    search: StoredSearch,
    scheduler: Scheduler,
    writes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    store, left = search.store, [writes]

    def dying(real: Any) -> Any:
        def verb(*arguments: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Died
            real(*arguments)

        return verb

    with monkeypatch.context() as patch:
        patch.setattr(store, "put_if_absent", dying(store.put_if_absent))
        patch.setattr(store, "copy", dying(store.copy))
        try:
            scheduler.prepare(search)
            reader = SearchReader(store, search.requests)
            reader.read()
            Given(search).settle(reader)
        except Died:
            return False
    return True


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resolutions": ["64x64", "96x96"]}, "spec.resolutions"),
        ({"detector": {"neck": 128}}, "spec.detector"),
        (
            {
                "base": {
                    "architecture": "[(16, 16)], [(32, 32)], [(64, 64)], [(64, 64)]",
                    "stem": 16,
                }
            },
            "spec.base",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_any_job_runs(
    store: Store, scheduler: Scheduler, spec: dict[str, Any], field: str
) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    scheduler.done.clear()
    if "base" in spec:
        spec["base"]["train"] = {"epochs": 1}
    with pytest.raises(ObstacleError, match=f"{field} does not fit") as refused:
        scheduler.run(tiny(store, "two", {**ONE, **spec}))
    assert refused.value.reason == "WarmStartMismatch"
    assert scheduler.done == []


@pytest.mark.parametrize(
    "change", [{"digest": "e" * 64}, {"digest": "e" * 64, "classes": ("cat", "cow")}]
)
def test_another_data_set_is_refused_once_it_is_known(
    store: Store, tmp_path: Path, change: dict[str, Any]
) -> None:
    Scheduler(tmp_path).run(tiny(store, "one", trials=1))
    other = Scheduler(tmp_path, {Verb.PREPARE: lambda result: result.model_copy(update=change)})
    with pytest.raises(ObstacleError, match=r"spec\.dataset does not fit"):
        other.run(tiny(store, "two", ONE))
    assert [job.verb for job in other.done] == [Verb.PREPARE]


def test_a_base_that_is_trained_otherwise_is_trained(store: Store, scheduler: Scheduler) -> None:
    one = tiny(store, "one", trials=2)
    scheduler.run(one)
    scheduler.done.clear()
    base = one.requests.manifest.spec.base.model_dump(mode="json", by_alias=True, exclude_none=True)
    base["train"] = {"epochs": 2}
    state = scheduler.run(tiny(store, "two", {**ONE, "base": base}, trials=1))
    assert scheduler.ran(Verb.BASE) == [0]
    assert state.history.summary.inherited == 2


def test_teachers_of_another_space_become_the_nearest_of_this_one(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.run(tiny(store, "one", trials=6))
    teachers = {
        "phases": [{"epochs": 1, "learningRate": "0.1"}],
        "depths": {"max": [2, 2, 6, 2]},
        "widths": ["1.0", "1.5"],
    }
    two = tiny(store, "two", {**ONE, "teachers": teachers}, trials=4, studentProbability="1.0")
    found = entries(two, scheduler.run(two))
    space = two.requests.spec.teachers.space
    assert all(space.contains(entry.proposal.teacher) for entry in found)
    assert scheduler.ran(Verb.POOL) == [0, 1, 0]


def test_the_nearest_teacher_of_the_own_space_is_itself() -> None:
    space, small = TeacherSpace(), TeacherSpace(max_depths=(2, 2, 4, 2), widths=("1.0", "1.5"))
    assert nearest(space, space.largest) == space.largest
    assert nearest(small, space.largest) == small.largest
    middle = space.largest.model_copy(update={"widths": (space.widths[1],) * 6})
    assert set(nearest(small, middle).widths) == {space.widths[0]}, "of equals, the narrower"


def test_there_must_be_one_such_search(store: Store, scheduler: Scheduler) -> None:
    two = tiny(store, "two", ONE)
    with pytest.raises(ObstacleError, match="no search of that name") as missing:
        scheduler.run(two)
    assert missing.value.reason == "WarmStartMissing"
    first, second = tiny(store, "one", trials=1), tiny(store, "one", trials=1, seed=7)
    scheduler.run(first)
    with pytest.raises(ObstacleError, match="2 searches had that name") as ambiguous:
        scheduler.run(two)
    assert ambiguous.value.reason == "WarmStartAmbiguous"
    assert first.uri in str(ambiguous.value)
    assert second.uri in str(ambiguous.value)
    named = tiny(store, "three", {"warmStart": {"from": first.uri}}, trials=1)
    assert scheduler.run(named).history.summary.inherited == 1


def test_the_search_that_has_the_name_now_is_meant(store: Store, scheduler: Scheduler) -> None:
    old, new = tiny(store, "one", trials=1), tiny(store, "one", trials=1, seed=7)
    scheduler.run(old)
    scheduler.run(new)
    two = tiny(store, "two", ONE)
    scheduler.prepare(two)
    reader = SearchReader(store, two.requests)
    reader.read()
    uid = new.requests.search.rpartition("-")[2]
    Given(two, {"one": f"{uid}-and-more"}.get).settle(reader)
    scheduler.run(two)
    stored = store.get(f"{two.requests.search}/inherited/result.json")
    assert stored is not None
    assert new.uri.encode() in stored.data


def test_a_search_of_another_store_is_copied_whole(
    store: Store, scheduler: Scheduler, tmp_path: Path
) -> None:
    other = open_store((tmp_path / "other").as_uri())
    one = tiny(other, "one", trials=3)
    scheduler.run(one)
    scheduler.done.clear()
    two = tiny(store, "two", {"warmStart": {"from": one.uri}}, trials=2)
    state = scheduler.run(two)
    assert (scheduler.ran(Verb.BASE), state.trials) == ([], 2)
    assert state.history.summary.inherited == 3
    delete(one)
    assert reread(two) == state


def test_a_chain_of_warm_starts_keeps_every_trial(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=3))
    scheduler.run(tiny(store, "two", ONE, trials=3))
    three = tiny(store, "three", {"warmStart": {"from": "two"}}, trials=3)
    state = scheduler.run(three)
    found = entries(three, state)
    assert [entry.inherited for entry in found] == [True] * 6 + [False] * 3
    assert state.trials == 3


def test_copied_weights_are_collected_like_own_ones(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=6))
    two = tiny(store, "two", ONE, trials=40, patience=1000)
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
