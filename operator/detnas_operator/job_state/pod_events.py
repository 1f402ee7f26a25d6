"""What events say of a pod that does not start: of volumes, sandboxes, nodes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from detnas_operator.job_state import pods
from detnas_operator.job_state.observed_pods import last_seen

Object = dict[str, Any]

_FRESH = timedelta(minutes=10)
"""What fails is tried again, and told again, more often than this."""
_CAUSES = ("FailedAttachVolume", "FailedMount", "FailedMapVolume", "FailedCreatePodSandBox")
"""The first is the cause of those after it."""
_SCHEDULER = "FailedScheduling"
"""The pod's condition says the same, and says when it is over."""
PULLING = "Pulling"
_NOT_PULLED = frozenset({"Failed", "BackOff"})


def latest_warning(events: Sequence[Object], now: datetime) -> Object | None:
    """Return the warning that explains best why a pod does not start; none that is old.

    Args:
        events: about the pod, in any order.
        now: the time, with its zone.
    """
    fresh = [
        one
        for one in events
        if one.get("type") == "Warning" and one.get("reason") != _SCHEDULER and _is_fresh(one, now)
    ]
    return min(fresh, key=_importance, default=None)


def said_of_node(events: Sequence[Object]) -> str:
    """Return what the node lifecycle controller said last; empty if nothing."""
    said = [one for one in events if one.get("reason") == "NodeNotReady"]
    return f"NodeNotReady: {pods.one_line(said[-1].get('message'))}" if said else ""


def is_pulling(events: Sequence[Object]) -> bool:
    """Whether the last word about an image is that it is being pulled."""
    of_images = [one for one in events if one.get("reason") in {PULLING, *_NOT_PULLED}]
    return bool(of_images) and max(of_images, key=last_seen)["reason"] == PULLING


def _is_fresh(event: Object, now: datetime) -> bool:
    seen = pods.moment(last_seen(event))
    return seen is None or now - seen <= _FRESH


def _importance(event: Object) -> tuple[int, str, str]:
    """The first cause first; of several with its reason always the same."""
    reason = str(event.get("reason") or "")
    rank = _CAUSES.index(reason) if reason in _CAUSES else len(_CAUSES)
    return rank, reason, str(event.get("message") or "")
