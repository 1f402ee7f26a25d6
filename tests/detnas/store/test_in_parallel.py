"""Many requests at a time: in order, with the caller's context, and none after a failure."""

import threading
import time
from contextvars import ContextVar

import pytest

from detnas.store.in_parallel import CONCURRENT_REQUESTS, in_parallel

caller: ContextVar[str] = ContextVar("caller", default="nobody")


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_answers_come_in_the_order_of_the_things(count: int) -> None:
    def ask(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * number

    assert in_parallel(ask, range(count)) == [number * number for number in range(count)]


def test_as_many_are_asked_at_a_time_as_there_are_connections() -> None:
    together = threading.Barrier(CONCURRENT_REQUESTS, timeout=30)
    in_parallel(
        lambda _: together.wait(), range(2 * CONCURRENT_REQUESTS)
    )  # else the barrier breaks


def test_what_holds_for_the_caller_holds_for_what_is_asked() -> None:
    caller.set("a pass")
    assert in_parallel(lambda _: caller.get(), range(3)) == ["a pass"] * 3


def test_the_first_failure_is_raised_and_what_was_not_begun_is_left_out() -> None:
    begun = []

    def ask(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError(number)
        time.sleep(0.01)

    with pytest.raises(ValueError, match="3"):
        in_parallel(ask, range(1000))
    assert len(begun) < 100
