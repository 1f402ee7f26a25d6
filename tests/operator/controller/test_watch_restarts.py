"""When a watch resumes, when it restarts, and when it requires a list."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest

from detnas_operator.cluster import PLURAL, ClusterError, NotFound, Refused, Unavailable
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.errors import Expired
from detnas_operator.cluster.streaming import Change
from detnas_operator.controller import watching
from detnas_operator.controller.watching import EventHandlers, Watches
from tests.operator.cluster.test_cache import KEY, job, search

Step = list[Change | ClusterError]


class PlayedStreams:
    """Streams that yield prepared changes one after the other, and then nothing."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.since: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def changes(
        self, _kind: str, _place: str | None, since: str, _slim: object
    ) -> AsyncIterator[Change]:
        self.since.append(since)
        if not self.steps:
            await asyncio.Event().wait()
        for said in self.steps.pop(0):
            if isinstance(said, ClusterError):
                raise said
            yield said


JITTER = 0.21


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between attempts, which take no time here."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("asyncio.sleep", note)
    return pauses


def play(
    *steps: Step, kind: str = "jobs", lists: int = 0
) -> tuple[PlayedStreams, list[object], ClusterCache]:
    """Watch a place until all steps were taken; after a list was asked for it is listed again."""
    streams, cache = PlayedStreams(*steps), ClusterCache()
    asked: list[object] = []

    async def scenario() -> None:
        def ask(place: str | None) -> None:
            asked.append(place)
            asyncio.get_running_loop().call_soon(watches.begin, "team", {kind: "100"})

        events = EventHandlers(cache, lambda key, urgent: asked.append(key))
        watches = Watches(streams, events, ask)  # type: ignore[arg-type]
        running = asyncio.create_task(watches.run())
        await asyncio.sleep(0)
        watches.begin("team", {kind: "5"})
        for _ in range(500):
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(scenario())
    return streams, asked, cache


def bookmark(version: int) -> Change:
    return Change("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def away(after: float | None = None) -> Unavailable:
    return Unavailable("no answer", retry_after=after)


def test_watch_passes_changes_to_the_handlers(slept: list[float]) -> None:
    said: Step = [Change("ADDED", job("a", 8)), Change("DELETED", job("a", 9)), bookmark(20)]
    streams, asked, cache = play(said)
    assert asked == [KEY, KEY]
    assert cache.jobs(KEY, "s1") == {}
    assert streams.since[:2] == ["5", "20"]
    _, asked, cache = play([Change("ADDED", search(8))], kind=PLURAL)
    assert asked == [KEY]
    assert cache.search(KEY) is not None


def test_watch_resumes_from_its_version_after_growing_pauses(slept: list[float]) -> None:
    failing: list[Step] = [[away()] for _ in range(9)]
    streams, asked, _ = play([bookmark(7), away()], *failing, [bookmark(8), away()])
    assert streams.since == ["5"] + ["7"] * 10 + ["8"]
    assert asked == []
    assert slept[:10] == pytest.approx([1, 1, 2, 3, 5, 8, 10, 10, 10, 10], rel=JITTER)
    assert slept[10] <= 1 + JITTER  # it had worked meanwhile


def test_watch_keeps_the_servers_delay(slept: list[float]) -> None:
    play([away(30.0)])
    assert slept == [30]


def test_watch_with_an_expired_version_requires_a_list(slept: list[float]) -> None:
    streams, asked, _ = play([Expired("too old", status=410)])
    assert asked == ["team"]
    assert streams.since == ["5", "100"]
    assert slept == []


@pytest.mark.parametrize("error", [NotFound("no such kind"), Refused("forbidden")])
def test_watch_that_is_refused_requires_a_list_after_a_pause(
    slept: list[float], error: ClusterError
) -> None:
    streams, asked, _ = play([error], [error], [error])
    assert asked == ["team"] * 3
    assert streams.since == ["5", "100", "100", "100"]
    assert slept == pytest.approx([1, 1, 2], rel=JITTER)


def test_watch_that_ends_at_once_restarts_after_a_pause(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    play([], [], [])
    assert len(slept) == 3
    slept.clear()
    monkeypatch.setattr(watching, "SHORT_SECONDS", 0.0)  # as after four minutes
    play([], [], [])
    assert slept == []


def test_watch_failures_are_logged_once(
    slept: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    play([away()], [away()], [away()], [bookmark(8)])
    assert [one.levelname for one in caplog.records] == ["WARNING"]


def test_watch_raises_unexpected_errors(slept: list[float]) -> None:
    class Broken(PlayedStreams):
        def changes(self, *_: object) -> Any:
            raise ZeroDivisionError

    async def scenario() -> None:
        ask: Callable[[str | None], None] = print
        events = EventHandlers(ClusterCache(), lambda key, urgent: None)
        watches = Watches(Broken(), events, ask)  # type: ignore[arg-type]
        running = asyncio.create_task(watches.run())
        await asyncio.sleep(0)
        watches.begin("team", {"jobs": "5"})
        await running

    with pytest.raises(ExceptionGroup):
        asyncio.run(scenario())
