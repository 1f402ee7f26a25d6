"""Limits how many searches of a namespace run concurrently, if the administrator sets a maximum."""

import threading

from detnas.plan.stages import OVER
from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.job_policy import Rules

_MAX_NAMED = 5
"""Searches that a message names."""


class SearchLimit:
    """Lets searches begin, in the order of creation, while fewer than the maximum run.

    A search that has begun is never blocked. Thread-safe: two concurrent searches do not both take
    the last place.
    """

    def __init__(self, cache: ClusterCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._begun: dict[str, set[str]] = {}

    def refusal(self, search: SearchView, rules: Rules) -> Reason | None:
        """Return why a search has to wait; None if it may begin, or has begun.

        Args:
            search: the custom resource.
            rules: of its namespace.
        """
        most = rules.policy.maximum.searches
        if most is None or search.is_accepted:
            return None
        with self._lock:
            others = self._others(search)
            begun = self._begun_of(search, others)
            running = [other for other in others if _runs(other, begun)]
            before = [
                other for other in others if _waits(other) and _creation(other) < _creation(search)
            ]
            if search.uid in begun or len(running) + len(before) < most:
                begun.add(search.uid)
                return None
        return _too_many(rules, most, running, len(before))

    def _others(self, search: SearchView) -> list[SearchView]:
        keys = (key for key in self._cache.search_keys() if key.namespace == search.namespace)
        others = (self._cache.search(key) for key in keys)
        return [other for other in others if other is not None and other.uid != search.uid]

    def _begun_of(self, search: SearchView, others: list[SearchView]) -> set[str]:
        """Return the UIDs of present searches that may begin; their status may not show it yet."""
        present = {search.uid, *(other.uid for other in others)}
        begun = self._begun[search.namespace] = self._begun.get(search.namespace, set()) & present
        return begun


def _runs(search: SearchView, begun: set[str]) -> bool:
    return search.phase not in OVER and (search.is_accepted or search.uid in begun)


def _waits(search: SearchView) -> bool:
    return not search.is_accepted and any(
        condition.reason == ReasonCode.TOO_MANY_SEARCHES for condition in search.conditions
    )


def _creation(search: SearchView) -> tuple[str, str]:
    return str(search.body["metadata"].get("creationTimestamp", "")), search.name


def _too_many(rules: Rules, most: int, running: list[SearchView], before: int) -> Reason:
    names = sorted(search.name for search in running)
    shown = ", ".join(names[:_MAX_NAMED]) + (", …" if len(names) > _MAX_NAMED else "")
    turn = f", after {before} that came before it" if before else ""
    return Reason(
        ReasonCode.TOO_MANY_SEARCHES,
        f"{rules.path('maximum', 'searches')} lets {most} of this namespace's searches run at the "
        f"same time, which are {shown or 'about to begin'}; this one begins by itself when one of "
        f"them is over{turn}",
    )
