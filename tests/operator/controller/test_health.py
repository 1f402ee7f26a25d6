"""What makes Kubernetes restart the operator."""

import pytest

from detnas_operator.controller.health import UnhealthyError, check_health
from detnas_operator.queue.work_queue import QueueState

WELL = QueueState(keys=3, depth=2, oldest_wait=400, running=1, oldest_pass=599, heartbeat_age=59)


def test_check_health_passes_a_busy_queue() -> None:
    assert check_health(WELL) == {
        "searches": 3,
        "waiting": 2,
        "oldestWaitSeconds": 400,
        "running": 1,
        "oldestPassSeconds": 599,
    }


@pytest.mark.parametrize(
    ("heartbeat_age", "oldest_pass", "words"),
    [
        (61, 0, "last ran 61 s ago"),
        (float("inf"), 0, "last ran"),
        (0, 601, "running for 601 s"),
    ],
)
def test_check_health_fails_on_a_stuck_queue(
    heartbeat_age: float, oldest_pass: float, words: str
) -> None:
    state = QueueState(1, 0, 0, 1, oldest_pass, heartbeat_age)
    with pytest.raises(UnhealthyError, match=words):
        check_health(state)
