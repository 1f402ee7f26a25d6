"""What a running job reports, for people: `attempts/<n>/progress.json`, overwritten."""

from datetime import datetime

from detnas.schema import Count, Positive, Schema


class Progress(Schema):
    """The progress of an attempt.

    Attributes:
        activity: ``checking images``, ``training``, ``evaluating``.
        done: steps of the activity that are done (iterations, or images).
        total: steps it has.
        epoch: current epoch, from 1; 0 outside training.
        loss: recent total loss.
        seconds_left: estimate for the entire job; None while unknown.
        updated: when this was written.
        heartbeat: seconds within which it is written again for as long as the process lives, steps
            or not; None from trainers that write it after steps only.
    """

    activity: str
    done: Count = 0
    total: Count = 0
    epoch: Count = 0
    epochs: Count = 0
    loss: float | None = None
    seconds_left: float | None = None
    updated: datetime
    heartbeat: Positive | None = None
