"""kopf's watches, begun anew until both kinds are watched."""

import asyncio
import logging

import kopf
from kopf._cogs.structs.references import Insights  # nothing public says what is watched

from detnas_operator.cluster import GROUP, PLURAL
from detnas_operator.cluster.connection import Connection
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.frame.handlers import EventHandlers, Health, register
from detnas_operator.frame.kopf_settings import EndlessBackoffs, kopf_settings

log = logging.getLogger(__name__)

WATCHED = frozenset({(GROUP, PLURAL), ("batch", "jobs")})


async def watch(
    settings: OperatorSettings, events: EventHandlers, connection: Connection, health: Health
) -> None:
    """Watch searches and Jobs until SIGTERM or SIGINT.

    kopf asks once, at its start, what the API server serves. One that is starting itself does not
    serve everything yet, and kopf would never watch what is missing from its answer.

    Args:
        settings: which namespaces, and the port of the health check.
        events: told of every change.
        connection: to the API server.
        health: what the health check says; raises where something is wrong.
    """
    for pause in EndlessBackoffs():
        registry, insights = kopf.OperatorRegistry(), Insights()
        register(registry, events, connection, health)
        watches = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=kopf_settings(),
                insights=insights,
                standalone=True,
                clusterwide=settings.cluster_wide,
                namespaces=settings.namespaces,
                liveness_endpoint=f"http://0.0.0.0:{settings.health.port}/healthz",
            )
        )
        try:
            missing = await _unwatched(watches, insights)
            if not missing:
                await watches
                return
        finally:
            watches.cancel()
            await asyncio.wait({watches})
        log.warning("the API server does not serve %s yet; looking again", ", ".join(missing))
        await asyncio.sleep(pause)


async def _unwatched(watches: asyncio.Task[None], insights: Insights) -> list[str]:
    """Return the kinds that the API server was not seen to serve, once it was asked."""
    asked = asyncio.create_task(insights.ready_resources.wait())
    try:
        await asyncio.wait({watches, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    if watches.done():
        return []
    served = {(one.group, one.plural) for one in insights.watched_resources}
    return sorted(f"{plural}.{group}" for group, plural in WATCHED - served)
