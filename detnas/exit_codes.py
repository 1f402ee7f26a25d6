"""How a job's process ended, for the trainer that exits and the schedulers that wait for it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a trainer's process ended; ``detnas-trainer --help`` explains each.

    With a stored result the code is 0, whatever the outcome: a candidate that is invalid, diverges
    or needs too much memory is no reason for an alarm.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    DATA_CHANGED = 44
    """Data set or weights are not those that the search was prepared with."""
    INTERRUPTED = 75
    """It was asked to stop, wrote a checkpoint, and is to be resumed."""

    @property
    def words(self) -> str:
        """For people: ``Data changed``."""
        return self.name.replace("_", " ").capitalize()


INVALID, OUT_OF_MEMORY = 42, 43
"""Of trainers up to 0.1, which a search may have pinned: their result is stored."""
