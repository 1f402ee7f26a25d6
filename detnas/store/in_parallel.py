"""Concurrent requests to a store: hundreds in sequence would each wait for an answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

CONCURRENT_REQUESTS = 16


def in_parallel(ask: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Return what ``ask`` returns for each thing, in order, asked on several threads.

    Raises:
        Exception: of the first thing for which ``ask`` raised one; those that were not begun are
            then left out.
    """
    if len(things) < 2:
        return [ask(thing) for thing in things]
    with ThreadPoolExecutor(
        min(CONCURRENT_REQUESTS, len(things)), thread_name_prefix="asking"
    ) as threads:
        asked = [threads.submit(copy_context().run, ask, thing) for thing in things]
        try:
            return [one.result() for one in asked]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
