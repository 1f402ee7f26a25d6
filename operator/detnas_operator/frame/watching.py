"""kopf's watches, begun anew until both kinds are watched, and where the API server ends them."""

import asyncio
import logging
from typing import Any

import kopf
from kopf._cogs.clients.errors import APIError  # nor what a watch ends with
from kopf._cogs.clients.watching import WatchingError
from kopf._cogs.structs.references import Insights  # nothing public says what is watched

from detnas_operator.cluster import GROUP, PLURAL
from detnas_operator.cluster.connection import Connection
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.frame.handlers import EventHandlers, register
from detnas_operator.frame.kopf_settings import EndlessBackoffs, kopf_settings

log = logging.getLogger(__name__)

WATCHED = frozenset({(GROUP, PLURAL), ("batch", "jobs")})
END_SECONDS = 3.0
"""So long kopf may take to end its watches in order, when it is told to."""


async def watch(settings: OperatorSettings, events: EventHandlers, connection: Connection) -> None:
    """Watch searches and Jobs until SIGTERM or SIGINT.

    kopf asks once, at its start, what the API server serves. One that is starting itself does not
    serve everything yet, and kopf would never watch what is missing from its answer. A server that
    is absent, or refuses (403), kopf asks again for ever, each namespace on its own; any other
    refusal ends all of its watches, as that a kind is not known any more (404).

    Args:
        settings: which namespaces.
        events: told of every change.
        connection: to the API server.
    """
    for pause in EndlessBackoffs():
        try:
            if not (missing := await _watch(settings, events, connection)):
                return
        except (APIError, WatchingError) as error:
            log.warning("the watches have ended, and begin anew: %s", error)
        else:
            log.warning("the API server does not serve %s yet; looking again", ", ".join(missing))
        await asyncio.sleep(pause)


async def _watch(
    settings: OperatorSettings, events: EventHandlers, connection: Connection
) -> list[str]:
    """Watch until told to end; return at once which kinds the API server does not serve."""
    registry, insights = kopf.OperatorRegistry(), Insights()
    register(registry, events, connection)
    others = asyncio.all_tasks()
    roots = set(
        await kopf.spawn_tasks(
            registry=registry,
            settings=kopf_settings(),
            insights=insights,
            standalone=True,
            clusterwide=settings.cluster_wide,
            namespaces=settings.namespaces,
        )
    )
    try:
        missing = await _unwatched(roots, insights)
        if not missing:
            await asyncio.wait(roots, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in roots if task.done() and task.exception()]
    finally:
        await _end(roots, others)
    for task in failed:
        task.result()
    return missing


async def _unwatched(roots: set[asyncio.Task[None]], insights: Insights) -> list[str]:
    """Return the kinds that the API server was not seen to serve, once it was asked."""
    asked = asyncio.create_task(insights.ready_resources.wait())
    try:
        await asyncio.wait({*roots, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    if any(task.done() for task in roots):
        return []
    served = {(one.group, one.plural) for one in insights.watched_resources}
    return sorted(f"{plural}.{group}" for group, plural in WATCHED - served)


async def _end(roots: set[asyncio.Task[None]], others: set[asyncio.Task[Any]]) -> None:
    """End kopf's tasks: all that were not there before.

    kopf's own way of ending waits for ever where one watch has failed: the rest are not told to
    end, and when they are, some take that for a pause.
    """
    for task in roots:
        task.cancel()
    await asyncio.wait(roots, timeout=END_SECONDS)
    while left := asyncio.all_tasks() - others - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
