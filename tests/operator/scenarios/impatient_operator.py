"""The operator with less patience: tests show in seconds what otherwise takes it minutes."""

from detnas_operator.cli import main as operator
from detnas_operator.job_state import stalled
from detnas_operator.lookups import pod_lookup
from detnas_operator.reconcile import requeue
from detnas_operator.status import not_running

HEARTBEAT_SECONDS = 20.0
WAITING_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    """Run the operator.

    20 seconds without a heartbeat count as stalled; a wait is reported after 3 seconds, and looked
    at every 2.
    """
    stalled.HEARTBEAT_PATIENCE_SECONDS = HEARTBEAT_SECONDS
    not_running.PATIENCE_SECONDS = 3.0
    requeue.WAITING_SECONDS = requeue.DEGRADED_SECONDS = WAITING_SECONDS
    pod_lookup.MIN_PAUSE_SECONDS = WAITING_SECONDS
    return operator(arguments)
