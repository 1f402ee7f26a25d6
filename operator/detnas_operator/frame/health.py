"""Whether this process still does its work: what ``/healthz`` answers."""

from detnas_operator.queue.work_queue import QueueState

OLDEST_HEARTBEAT = 60.0
OLDEST_PASS = 600.0


class UnhealthyError(RuntimeError):
    """The process will not get better by itself: Kubernetes must restart it."""


def check_health(queue: QueueState) -> dict[str, int | float]:
    """Return the figures that ``/healthz`` shows.

    Raises:
        UnhealthyError: the event loop is stuck, or a pass will never end.
    """
    if queue.heartbeat_age > OLDEST_HEARTBEAT:
        problem = f"the work queue last turned {queue.heartbeat_age:.0f} s ago"
        raise UnhealthyError(f"{problem}; at most {OLDEST_HEARTBEAT:.0f} s are right")
    if queue.oldest_pass > OLDEST_PASS:
        problem = f"a pass has been running for {queue.oldest_pass:.0f} s"
        raise UnhealthyError(f"{problem}; at most {OLDEST_PASS:.0f} s are right")
    return {
        "searches": queue.keys,
        "waiting": queue.depth,
        "oldestWaitSeconds": round(queue.oldest_wait, 3),
        "running": queue.running,
        "oldestPassSeconds": round(queue.oldest_pass, 3),
    }
