"""News comes first, namespaces take turns, and what is looked at again is spread out."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas_operator.queue.schedule import MAX_OVERTAKEN_SECONDS, Requeue, Schedule

RESYNC = 300.0
Key = tuple[str, int]
NOTHING = Requeue()


def namespaced(seed: int = 0, max_slow: float = 4, max_of_group: float = 7) -> Schedule[Key]:
    """A schedule of keys that are grouped by their first part."""
    draws = random.Random(seed)
    return Schedule(RESYNC, draws, max_slow, lambda key: key[0], max_of_group)


def serve(schedule: Schedule[Key], now: float, again: Requeue = NOTHING) -> Key | None:
    key = schedule.take(now)
    if key is not None:
        schedule.succeeded(key, now, again)
    return key


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("after", [10.0, 60.0])
def test_schedule_spreads_requeues_of_keys_reconciled_at_one_instant(
    seed: int, after: float
) -> None:
    schedule = namespaced(seed, max_of_group=1000)
    for number in range(240):
        schedule.add(("a", number), 0)
    while serve(schedule, 0, Requeue(after=after)):
        pass
    due: list[float] = []
    while len(due) < 240:
        due.append(schedule.next_due())
        schedule.succeeded(schedule.take(due[-1]) or ("", 0), due[-1], Requeue())
    assert min(due) >= after
    assert max(due) <= 1.4 * after
    in_a_second = Counter(int(moment) for moment in due)
    # 240 over 4 or 24 s: a second has its share of them, and by chance some more.
    assert max(in_a_second.values()) < 2 * 240 / (0.4 * after)


def test_schedule_serves_events_before_requeues() -> None:
    schedule = namespaced()
    for number in range(100):
        schedule.add(("a", number), 0, urgent=False)
    schedule.add(("a", 100), 20)
    schedule.add(("b", 0), 20.5)
    schedule.add(("a", 50), 21)  # news of one that waits already
    news = [("a", 100), ("b", 0), ("a", 50)]
    assert [serve(schedule, 22) for _ in news] == news
    assert serve(schedule, 22) == ("a", 0)


def test_schedule_bounds_how_long_a_requeue_is_overtaken() -> None:
    schedule = namespaced()
    schedule.add(("a", 0), 0, urgent=False)
    for second in range(1, 100):
        schedule.add(("a", second), second)
        if serve(schedule, second) == ("a", 0):
            break
    assert second == MAX_OVERTAKEN_SECONDS


def test_schedule_serves_urgent_requeues_like_events() -> None:
    schedule = namespaced()
    schedule.add(("a", 0), 0)
    serve(schedule, 0, Requeue(after=10, urgent=True))
    for number in range(1, 100):
        schedule.add(("a", number), 5, urgent=False)
    assert serve(schedule, 14) == ("a", 0)


def test_schedule_alternates_between_namespaces() -> None:
    schedule = namespaced()
    for number in range(1000):
        schedule.add(("many", number), 0)
    for number in range(3):
        schedule.add(("few", number), 1)
    served = [serve(schedule, 2) for _ in range(8)]
    assert [key and key[0] for key in served] == ["many", "few"] * 3 + ["many", "many"]


def test_schedule_bounds_the_workers_of_one_namespace() -> None:
    schedule = namespaced(max_of_group=7)
    for number in range(20):
        schedule.add(("slow", number), 0)
    running = [schedule.take(0) for _ in range(8)]
    assert running == [("slow", number) for number in range(7)] + [None]
    for number in range(20):
        schedule.add(("other", number), 1)
    assert schedule.take(1) == ("other", 0)  # by the worker that was left
    for number in range(3):  # what becomes free is the other's until it has as many
        schedule.succeeded(("slow", number), 2, Requeue())
        assert schedule.take(2) == ("other", number + 1)


def test_schedule_counts_a_new_key_as_slow_if_its_namespace_was() -> None:
    schedule = namespaced(max_slow=1)
    schedule.add(("slow", 0), 0)
    schedule.take(0)
    schedule.add(("slow", 1), 1)  # known before
    schedule.succeeded(("slow", 0), 6, Requeue(), slow=True)
    for number in range(2, 9):
        schedule.add(("slow", number), 7)
        schedule.add(("quick", number), 8)
    assert [schedule.take(8) for _ in range(4)] == [
        ("slow", 1),
        ("quick", 2),
        ("slow", 2),  # one of these concurrently
        ("quick", 3),
    ]
    assert schedule.take(8) == ("quick", 4)


def test_schedule_gives_a_returning_namespace_no_advantage() -> None:
    schedule = namespaced()
    for number in range(10):
        schedule.add(("patient", number), 0)
    schedule.add(("busy", 0), 0)
    served: Counter[str] = Counter()
    for second in range(10):
        key = serve(schedule, second, Requeue(gone=True))
        assert key is not None
        served[key[0]] += 1
        if key[0] == "busy":
            schedule.add(key, second)
    assert served == {"patient": 5, "busy": 5}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 5),
)
def test_schedule_lets_no_namespace_wait_for_two_turns_of_another(
    asked: list[tuple[int, bool]], seed: int
) -> None:
    schedule = namespaced(seed)
    for number, (namespace, urgent) in enumerate(asked):
        schedule.add((str(namespace), number), 0, urgent=urgent)
    waits: dict[bool, dict[str, list[int]]] = {True: {}, False: {}}
    urgency = {(str(name), number): urgent for number, (name, urgent) in enumerate(asked)}
    for turn in range(len(asked)):
        key = serve(schedule, 1)
        assert key is not None
        waits[urgency[key]].setdefault(key[0], []).append(turn)
    assert serve(schedule, 1) is None
    assert sum(map(len, (*waits[True].values(), *waits[False].values()))) == len(asked)
    for urgent in (True, False):
        for turns in waits[urgent].values():
            others = len(waits[urgent]) - 1
            assert all(later - before <= others + 1 for before, later in pairwise(turns))


def slow(*keys: str) -> Schedule[str]:
    """A schedule of keys whose last pass was slow."""
    schedule: Schedule[str] = Schedule(300, random.Random(0), max_slow=2)
    for key in keys:
        schedule.add(key, 0)
        assert schedule.take(0) == key
        schedule.succeeded(key, 0, Requeue(), slow=True)
    return schedule


def test_schedule_leaves_workers_to_other_keys_than_slow_ones() -> None:
    schedule = slow("a", "b", "c", "d")
    for key in "abcd":
        schedule.add(key, 1)
    schedule.add("quick", 2)
    assert [schedule.take(5) for _ in range(4)] == ["a", "b", "quick", None]
    assert schedule.next_due() == float("inf")
    schedule.failed("a", 6, None, slow=True)
    assert schedule.take(6) == "c"


def test_schedule_serves_a_slow_key_normally_after_a_quick_pass() -> None:
    schedule = slow("a", "b", "c")
    for key in "abc":
        schedule.add(key, 1)
        assert schedule.take(1) == key
        schedule.succeeded(key, 1, Requeue(), slow=False)
    for key in "abc":
        schedule.add(key, 2)
    assert [schedule.take(2) for _ in "abc"] == ["a", "b", "c"]
