"""Many requests at a time: in order, with the caller's context, and none after a failure."""

import threading
import time
from contextvars import ContextVar

import pytest

from detnas.store.in_parallel import CONCURRENT_REQUESTS, in_parallel

caller: ContextVar[str] = ContextVar("caller", default="nobody")


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_in_parallel_returns_answers_in_order(count: int) -> None:
    def ask(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * number

    assert in_parallel(ask, range(count)) == [number * number for number in range(count)]


def test_in_parallel_asks_one_thing_per_connection_concurrently() -> None:
    together = threading.Barrier(CONCURRENT_REQUESTS, timeout=30)
    in_parallel(
        lambda _: together.wait(), range(2 * CONCURRENT_REQUESTS)
    )  # else the barrier breaks


def test_in_parallel_passes_on_context_variables() -> None:
    caller.set("a pass")
    assert in_parallel(lambda _: caller.get(), range(3)) == ["a pass"] * 3


def test_in_parallel_raises_the_first_failure_and_starts_no_more() -> None:
    begun = []

    def ask(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError(number)
        time.sleep(0.01)

    with pytest.raises(ValueError, match="3"):
        in_parallel(ask, range(1000))
    assert len(begun) < 100
