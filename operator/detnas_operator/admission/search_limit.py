"""How many searches of a namespace run at the same time, where the administrator sets a bound."""

import threading
from typing import Any

from detnas.plan.stages import Phase
from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.configuration.job_policy import Rules

Object = dict[str, Any]
_NAMED = 5
"""Searches that a message names."""


class SearchCap:
    """Lets searches begin while there are fewer than the bound; those that came first go first.

    A search that has begun is never held up. Thread-safe: two that come at the same time do not
    both take the last place.
    """

    def __init__(self, cache: ClusterCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._begun: dict[str, set[str]] = {}

    def refusal(self, resource: Object, rules: Rules) -> Reason | None:
        """Return why a search has to wait; none if it may begin, or has begun.

        Args:
            resource: the custom resource as the API serves it.
            rules: of its namespace.
        """
        most = rules.policy.maximum.searches
        if most is None or has_begun(resource):
            return None
        with self._lock:
            others = self._others(resource)
            begun = self._let_begin(resource, others)
            running = [one for one in others if _runs(one, begun)]
            before = [one for one in others if _waits(one) and _age(one) < _age(resource)]
            if _uid(resource) in begun or len(running) + len(before) < most:
                begun.add(_uid(resource))
                return None
        return _full(rules, most, running, len(before))

    def _others(self, resource: Object) -> list[Object]:
        namespace = resource["metadata"]["namespace"]
        keys = (key for key in self._cache.searches() if key.namespace == namespace)
        found = (self._cache.search(key) for key in keys)
        return [one for one in found if one is not None and _uid(one) != _uid(resource)]

    def _let_begin(self, resource: Object, others: list[Object]) -> set[str]:
        """Searches that were let begin, which their status may not say yet."""
        there = {_uid(resource), *map(_uid, others)}
        begun = self._begun.get(resource["metadata"]["namespace"], set()) & there
        self._begun[resource["metadata"]["namespace"]] = begun
        return begun


def has_begun(resource: Object) -> bool:
    """Whether a search was accepted once: only the operator writes where it lies."""
    return bool((resource.get("status") or {}).get("folder"))


def _runs(resource: Object, begun: set[str]) -> bool:
    over = (resource.get("status") or {}).get("phase") in (Phase.SUCCEEDED, Phase.FAILED)
    return not over and (has_begun(resource) or _uid(resource) in begun)


def _waits(resource: Object) -> bool:
    conditions = (resource.get("status") or {}).get("conditions") or ()
    return not has_begun(resource) and any(
        one["reason"] == ReasonCode.TOO_MANY_SEARCHES for one in conditions
    )


def _uid(resource: Object) -> str:
    return str(resource["metadata"]["uid"])


def _age(resource: Object) -> tuple[str, str]:
    metadata = resource["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])


def _full(rules: Rules, most: int, running: list[Object], before: int) -> Reason:
    names = sorted(str(one["metadata"]["name"]) for one in running)
    shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    turn = f", after {before} that came before it" if before else ""
    return Reason(
        ReasonCode.TOO_MANY_SEARCHES,
        f"{rules.path('maximum', 'searches')} lets {most} of this namespace's searches run at the "
        f"same time, which are {shown or 'about to begin'}; this one begins by itself when one of "
        f"them is over{turn}",
    )
