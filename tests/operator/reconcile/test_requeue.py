"""When a search is looked at again: the longer its Jobs wait, the less often."""

from datetime import UTC, datetime, timedelta

import pytest

from detnas.plan.stages import JobId
from detnas.reasons import ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import JobState, Running, Waiting
from detnas_operator.reconcile.requeue import requeue
from detnas_operator.status.pass_result import ActiveJob, PassResult

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WAITS = Waiting(ReasonCode.UNSCHEDULABLE, "no node")
RUNS = Running(NOW)


def found(*jobs: tuple[JobState, float], suspended: bool = False) -> PassResult:
    """Jobs by their state and the seconds for which they have waited."""
    return PassResult(
        generation=1,
        jobs={
            JobId(Verb.EVALUATE, number): ActiveJob(
                f"t{number}",
                state,
                waiting_since=NOW - timedelta(seconds=seconds),
                suspended=suspended,
            )
            for number, (state, seconds) in enumerate(jobs)
        },
    )


@pytest.mark.parametrize(
    ("result", "after"),
    [
        (found((WAITS, 0)), 10),
        (found((WAITS, 100)), 10),
        (found((WAITS, 200)), 20),
        (found((WAITS, 36_000)), 40),
        (found((WAITS, 36_000), (WAITS, 5)), 10),
        (found((WAITS, 36_000), (RUNS, 5)), 40),
        (found((RUNS, 5)), 60),
        (found((WAITS, 5), suspended=True), 10),
        (found((WAITS, 36_000), suspended=True), 60),
        (found(), None),
    ],
)
def test_requeue_grows_with_the_wait(result: PassResult, after: float | None) -> None:
    again = requeue(result, 0, holds_pool=False, progress_seconds=60, now=NOW)
    assert again.after == after
