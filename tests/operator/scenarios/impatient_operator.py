"""The operator with less patience: a test shows what otherwise takes it two minutes."""

from detnas_operator.cli import main as operator
from detnas_operator.job_state import stalled

HEARTBEAT_SECONDS = 20.0


def main(arguments: list[str]) -> int:
    """Run the operator; 20 seconds without a heartbeat count as stalled."""
    stalled.HEARTBEAT_PATIENCE_SECONDS = HEARTBEAT_SECONDS
    return operator(arguments)
