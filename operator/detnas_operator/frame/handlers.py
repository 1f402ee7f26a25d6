"""What kopf calls: events into the cache and the queue, credentials. Nothing else.

Only event handlers: change handlers and timers would write annotations and finalizers.
"""

from collections.abc import Callable
from typing import Any, cast

import kopf

from detnas_operator.cluster import GROUP, PLURAL, VERSION
from detnas_operator.cluster.cache import ClusterCache, SearchKey, job_key
from detnas_operator.cluster.connection import Connection


class EventHandlers:
    """Takes in watch events, and asks for a pass over the search that an event is about."""

    def __init__(
        self,
        cache: ClusterCache,
        enqueue: Callable[[SearchKey], None],
        found: Callable[[SearchKey], None],
        relist: Callable[[], None],
    ) -> None:
        """Make handlers for one process.

        Args:
            enqueue: takes the key of a search to which something happened.
            found: takes the key of a search that was listed.
            relist: called when a watch has started over, and may have missed deletions.
        """
        self._cache = cache
        self._enqueue = enqueue
        self._found = found
        self._relist = relist
        self._listed: set[str] = set()

    def search(self, change: str | None, body: dict[str, Any]) -> None:
        """Take in a search that was listed (None), ADDED, MODIFIED or DELETED."""
        key = SearchKey(body["metadata"]["namespace"], body["metadata"]["name"])
        if change == "DELETED":
            self._cache.drop_search(body)
            self._enqueue(key)
        elif self._cache.put_search(body):
            self._ask(key, change)
        self._note_listing(change, body)

    def job(self, change: str | None, body: dict[str, Any]) -> None:
        """Take in a Job that was listed (None), ADDED, MODIFIED or DELETED."""
        key = job_key(body)
        if key is None:
            return
        if change == "DELETED":
            self._cache.lose_job(body)
            self._enqueue(key)
        elif self._cache.put_job(body):
            self._ask(key, change)
        self._note_listing(change, body)

    def _ask(self, key: SearchKey, change: str | None) -> None:
        (self._found if change is None else self._enqueue)(key)

    def _note_listing(self, change: str | None, body: dict[str, Any]) -> None:
        """See a watch start over: it lists again what it had listed or added before."""
        uid = body["metadata"]["uid"]
        if change == "DELETED":
            self._listed.discard(uid)
        elif change is None and uid in self._listed:
            self._listed.clear()  # one call for the whole list; the next list is noticed again
            self._relist()
        else:
            self._listed.add(uid)


def register(
    registry: kopf.OperatorRegistry,
    events: EventHandlers,
    connection: Connection,
) -> None:
    """Enter the handlers into a registry of kopf's."""

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def search_event(event: kopf.RawEvent, **_: object) -> None:
        events.search(event["type"], cast("dict[str, Any]", event["object"]))

    @kopf.on.event("batch", "v1", "jobs", registry=registry)
    async def job_event(event: kopf.RawEvent, **_: object) -> None:
        events.job(event["type"], cast("dict[str, Any]", event["object"]))

    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def login(**_: object) -> kopf.ConnectionInfo:
        return credentials(connection)


def credentials(connection: Connection) -> kopf.ConnectionInfo:
    """Return what kopf needs to reach the API server that our own client speaks to."""
    configuration = connection.configuration
    scheme, _, token = connection.authorization().partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token.strip() or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=connection.proxy,
    )
