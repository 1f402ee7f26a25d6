"""A Job that runs and makes no progress is reported, judged by the operator's own clock."""

from datetime import UTC, datetime
from typing import Any

import pytest

from detnas.lifecycle.attempts import Attempts
from detnas.records.progress import Progress
from detnas_operator.job_state.stalled import (
    HEARTBEAT_PATIENCE_SECONDS,
    STEP_PATIENCE_SECONDS,
    STEPLESS_PATIENCE_SECONDS,
    ProgressReading,
    stalled_reason,
)

SAID = datetime(1999, 1, 1, 12, 3, 10, tzinfo=UTC)
"""By a clock that is decades behind: that matters to nobody."""


def progress(total: int = 0, heartbeat: int | None = 10, **said: Any) -> Progress:
    return Progress(activity="training", total=total, heartbeat=heartbeat, updated=SAID, **said)


def heard(progress: Progress | None, quiet: float, stands: float | None = None) -> ProgressReading:
    """What was read at 10,000 s; it has not changed for ``quiet`` seconds."""
    steps = quiet if stands is None else stands
    return ProgressReading(Attempts(1, progress), 10_000.0, 10_000.0 - quiet, 10_000.0 - steps)


OF_OLD = None
"""A trainer that writes after steps only."""


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (heard(progress(100), HEARTBEAT_PATIENCE_SECONDS - 1), ""),
        (heard(progress(100), HEARTBEAT_PATIENCE_SECONDS), "last reported at 12:03:10 UTC"),
        (heard(progress(), HEARTBEAT_PATIENCE_SECONDS), "last reported"),
        (heard(progress(100), 5, STEP_PATIENCE_SECONDS - 1), ""),
        (
            heard(progress(100), 5, STEP_PATIENCE_SECONDS),
            "is alive but has completed no step for 10 minutes",
        ),
        (heard(progress(), 5, STEPLESS_PATIENCE_SECONDS - 1), ""),
        (
            heard(progress(), 5, STEPLESS_PATIENCE_SECONDS),
            "is alive but has completed no step for 30 minutes",
        ),
        (heard(progress(100, OF_OLD), STEP_PATIENCE_SECONDS - 1), ""),
        (heard(progress(100, OF_OLD), STEP_PATIENCE_SECONDS), "last reported"),
        (heard(progress(0, OF_OLD), STEPLESS_PATIENCE_SECONDS - 1), ""),
        (heard(progress(0, OF_OLD), STEPLESS_PATIENCE_SECONDS), "last reported"),
        (heard(None, STEP_PATIENCE_SECONDS - 1), ""),
        (heard(None, STEP_PATIENCE_SECONDS), "has written nothing yet"),
    ],
)
def test_stalled_reason_after_each_patience(found: ProgressReading, says: str) -> None:
    reason = stalled_reason("r18-t0007", found, ran_since=0.0)
    assert bool(reason) == bool(says)
    if reason is not None:
        assert reason.code == "NoProgress"
        assert says in reason.message
        assert "kubectl logs job/r18-t0007" in reason.message


def test_stalled_reason_has_the_last_progress() -> None:
    said = progress(500, epoch=2, epochs=3, done=120)
    reason = stalled_reason("r18-t0007", heard(said, 300), 0.0)
    assert reason is not None
    assert "(training, epoch 2 of 3, 120 of 500)" in reason.message


def test_stalled_reason_of_an_unread_or_new_job_is_none() -> None:
    assert stalled_reason("r18-t0007", None, 0.0) is None
    assert stalled_reason("r18-t0007", heard(progress(100), 300), ran_since=9_990.0) is None


def test_progress_reading_changes_with_steps_and_attempts() -> None:
    first = Attempts(1, progress(100, done=3))
    beat = Attempts(1, first.progress.model_copy(update={"updated": datetime.now(UTC)}))  # type: ignore[union-attr]
    known = ProgressReading(first, 10.0, 10.0, 10.0)
    assert known.then(first, 20.0) == ProgressReading(first, 20.0, 10.0, 10.0)
    assert known.then(beat, 20.0) == ProgressReading(beat, 20.0, 20.0, 10.0)
    further = Attempts(1, progress(100, done=4))
    assert known.then(further, 20.0) == ProgressReading(further, 20.0, 20.0, 20.0)
    again = Attempts(2, first.progress)
    assert known.then(again, 20.0) == ProgressReading(again, 20.0, 20.0, 20.0)
