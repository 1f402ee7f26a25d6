"""Takes changes into the cache, and asks for a pass over the search that one is about."""

from collections.abc import Callable
from typing import Any

from detnas_operator.cluster.cache import ClusterCache, SearchKey, job_key


class EventHandlers:
    """Takes in what the watches tell.

    Args:
        cache: learns it.
        enqueue: takes the key of a search to which something happened.
    """

    def __init__(self, cache: ClusterCache, enqueue: Callable[[SearchKey], None]) -> None:
        self._cache = cache
        self._enqueue = enqueue

    def search(self, change: str, body: dict[str, Any]) -> None:
        """Take in a search that was ADDED, MODIFIED or DELETED."""
        key = SearchKey(body["metadata"]["namespace"], body["metadata"]["name"])
        if change == "DELETED":
            self._cache.drop_search(body)
            self._enqueue(key)
        elif self._cache.put_search(body):
            self._enqueue(key)

    def job(self, change: str, body: dict[str, Any]) -> None:
        """Take in a Job that was ADDED, MODIFIED or DELETED."""
        key = job_key(body)
        if key is None:
            return
        if change == "DELETED":
            self._cache.lose_job(body)
            self._enqueue(key)
        elif self._cache.put_job(body):
            self._enqueue(key)
