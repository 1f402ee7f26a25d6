"""No wake-up is lost, no key runs twice at once, and failures wait longer and longer."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas_operator.queue.schedule import MAX_BACKOFF_SECONDS, Requeue, Schedule

RESYNC = 300.0


class NoJitter(random.Random):
    """Draws the middle of every range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@pytest.fixture
def schedule() -> Schedule[str]:
    return Schedule(RESYNC, NoJitter(0))


def run(schedule: Schedule[str], now: float, again: Requeue | None = None) -> str:
    key = schedule.take(now)
    assert key is not None
    schedule.succeeded(key, now, again or Requeue())
    return key


def test_schedule_serves_keys_in_the_order_they_are_due(schedule: Schedule[str]) -> None:
    for due, key in enumerate("cab"):
        schedule.add(key, due)
    assert [run(schedule, 9) for _ in "abc"] == ["c", "a", "b"]
    assert schedule.take(9) is None


def test_schedule_serves_the_key_that_waits_longest_first(schedule: Schedule[str]) -> None:
    schedule.add("busy", 0)
    schedule.add("patient", 1)
    assert schedule.take(1) == "busy"
    schedule.add("busy", 2)  # an event during its pass
    schedule.succeeded("busy", 3, Requeue())
    assert [run(schedule, 3), run(schedule, 3)] == ["patient", "busy"]


def test_schedule_serves_a_key_again_after_an_event_during_its_pass(
    schedule: Schedule[str],
) -> None:
    schedule.add("a", 0)
    assert schedule.take(0) == "a"
    schedule.add("a", 1)
    assert schedule.take(1) is None
    schedule.succeeded("a", 2, Requeue())
    assert schedule.take(2) == "a"


def test_schedule_joins_events_of_a_key(schedule: Schedule[str]) -> None:
    for moment in range(5):
        schedule.add("a", moment)
    assert run(schedule, 5) == "a"
    assert schedule.take(5) is None


@pytest.mark.parametrize(
    ("again", "due"),
    [
        (Requeue(), RESYNC),
        (Requeue(after=10), 12),  # never sooner, and on the average so much later
        (Requeue(after=0), 0),
        (Requeue(after=RESYNC * 2), RESYNC),
        (Requeue(gone=True), float("inf")),
    ],
    ids=str,
)
def test_schedule_requeues_as_the_pass_says(
    schedule: Schedule[str], again: Requeue, due: float
) -> None:
    schedule.add("a", 0)
    run(schedule, 0, again)
    assert schedule.next_due() == due


def test_schedule_forgets_a_gone_key_unless_an_event_came(
    schedule: Schedule[str],
) -> None:
    schedule.add("a", 0)
    schedule.take(0)
    schedule.add("a", 1)
    schedule.succeeded("a", 2, Requeue(gone=True))
    assert run(schedule, 2, Requeue(gone=True)) == "a"
    assert len(schedule) == 0


def test_schedule_backs_off_after_failures_until_a_success(schedule: Schedule[str]) -> None:
    schedule.add("a", 0)
    now, waits = 0.0, []
    for _ in range(8):
        assert schedule.take(now) == "a"
        waits.append(schedule.failed("a", now, None))
        now = schedule.next_due()
    assert waits == [1, 2, 4, 8, 16, 32, MAX_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS]
    run(schedule, now)
    schedule.add("a", now)
    schedule.take(now)
    assert schedule.failed("a", now, None) == 1


def test_schedule_spreads_retries_of_many_keys() -> None:
    schedule: Schedule[int] = Schedule(RESYNC, random.Random(1))
    waits = set()
    for key in range(20):
        schedule.add(key, 0)
        schedule.take(0)
        schedule.failed(key, 0, None)
        schedule.add(key, 0)
        schedule.take(1)
        waits.add(schedule.failed(key, 0, None))
    assert len(waits) == 20
    assert all(1.6 <= wait <= 2.4 for wait in waits)


def test_schedule_shortens_a_backoff_at_an_event(schedule: Schedule[str]) -> None:
    schedule.add("a", 0)
    for _ in range(6):
        schedule.take(schedule.next_due())
        schedule.failed("a", 100, None)
    schedule.add("a", 100)
    assert schedule.next_due() == 101


@pytest.mark.parametrize("event", [False, True], ids=["quiet", "event"])
def test_schedule_keeps_the_servers_delay_despite_events(
    schedule: Schedule[str], event: bool
) -> None:
    schedule.add("a", 0)
    schedule.take(0)
    schedule.failed("a", 0, 30.0)
    if event:
        schedule.add("a", 1)
    assert schedule.next_due() == 30
    assert run(schedule, 30) == "a"
    schedule.add("a", 31)
    assert schedule.next_due() == 31


@dataclass
class Model:
    """What must hold, told in the simplest way: who has asked since its pass began."""

    asked: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "take", "succeed", "fail", "gone"]),
        st.integers(0, 3),
        st.floats(0, 5),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 1000))
def test_schedule_follows_every_request_with_a_pass(
    steps: list[tuple[str, int, float]], seed: int
) -> None:
    schedule: Schedule[int] = Schedule(RESYNC, random.Random(seed))
    model, now = Model(), 0.0
    for step, key, pause in steps:
        now += pause
        if step == "ask":
            schedule.add(key, now)
            model.asked.add(key)
        elif step == "take":
            taken = schedule.take(now)
            if taken is not None:
                assert taken not in model.running
                model.running.add(taken)
                model.asked.discard(taken)
        elif key in model.running:
            model.running.discard(key)
            if step == "fail":
                schedule.failed(key, now, None)
                model.asked.add(key)  # a failed pass has not done what it was asked for
            else:
                schedule.succeeded(key, now, Requeue(gone=step == "gone"))
    for key in model.running:
        schedule.succeeded(key, now, Requeue())
    late = now + 1.5 * MAX_BACKOFF_SECONDS
    taken_late = set()
    while (next_key := schedule.take(late)) is not None:
        taken_late.add(next_key)
    assert model.asked <= taken_late
