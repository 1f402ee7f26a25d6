"""The watches: one stream a namespace and kind, from what was listed on, begun anew for ever."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping

from detnas_operator.cluster import PLURAL, ClusterError
from detnas_operator.cluster.cache import slim_own_job, slim_search
from detnas_operator.cluster.errors import Expired, NotFound, Refused
from detnas_operator.cluster.streaming import Change, Streams
from detnas_operator.frame.handlers import EventHandlers

log = logging.getLogger(__name__)

SLIM = {PLURAL: slim_search, "jobs": slim_own_job}
SHORT_SECONDS = 5.0
"""A stream that the server ended sooner is not begun anew at once."""


class Watches:
    """Streams of the kinds in places; each goes on from a list.

    Args:
        streams: opens them.
        events: takes in what happens.
        ask: asks for a list of a place, after which `begin` is called.
    """

    def __init__(
        self,
        streams: Streams,
        events: EventHandlers,
        ask: Callable[[str | None], None],
    ) -> None:
        self._streams = streams
        self._events = events
        self._ask = ask
        self._group: asyncio.TaskGroup | None = None
        self._open: dict[tuple[str | None, str], asyncio.Task[None]] = {}
        self._pauses: dict[tuple[str | None, str], Iterator[float]] = {}
        self._away = False

    async def run(self) -> None:
        """Hold the streams, for ever."""
        async with self._streams, asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def begin(self, place: str | None, versions: Mapping[str, str]) -> None:
        """Watch a place that was listed, as far as it is not watched.

        Args:
            place: a namespace; None for all of the cluster.
            versions: of the lists, by kind.
        """
        assert self._group is not None
        for kind, version in versions.items():
            task = self._open.get((place, kind))
            if task is None or task.done():
                watching = self._watch(place, kind, version)
                self._open[place, kind] = self._group.create_task(watching)

    async def _watch(self, place: str | None, kind: str, since: str) -> None:
        """Stream until a new list is needed."""
        while True:
            begun = time.monotonic()
            try:
                async for change in self._streams.changes(kind, place, since, SLIM[kind]):
                    since = self._take_in(place, kind, change) or since
            except Expired:
                self._ask(place)
                return
            except (NotFound, Refused):
                # The list says why, and is tried again until it succeeds.
                await asyncio.sleep(self._pause(place, kind))
                self._ask(place)
                return
            except ClusterError as error:
                self._say_away(error)
                await asyncio.sleep(max(self._pause(place, kind), error.retry_after or 0.0))
            else:
                if time.monotonic() - begun < SHORT_SECONDS:
                    await asyncio.sleep(self._pause(place, kind))

    def _take_in(self, place: str | None, kind: str, change: Change) -> str:
        self._pauses.pop((place, kind), None)
        if self._away:
            self._away = False
            log.info("the watches go on")
        if change.kind != "BOOKMARK":
            take_in = self._events.search if kind == PLURAL else self._events.job
            take_in(change.kind, change.object)
        return change.version

    def _pause(self, place: str | None, kind: str) -> float:
        return next(self._pauses.setdefault((place, kind), _pauses()))

    def _say_away(self, error: ClusterError) -> None:
        """Say once, and not for each of thousands, that the API server is away."""
        if not self._away:
            log.warning("a watch has ended, and begins anew: %s", error)
        self._away = True


def _pauses() -> Iterator[float]:
    """Yield seconds between attempts that never end: an absent API server is no reason to exit."""
    for seconds in (1.0, 1.0, 2.0, 3.0, 5.0, 8.0):
        yield seconds * random.uniform(0.8, 1.2)
    while True:
        yield 10.0 * random.uniform(0.8, 1.2)
