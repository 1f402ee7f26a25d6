"""What a scheduler learns from a job's process alone."""

from enum import IntEnum

from detnas_trainer.training.interruption import STOPPED


class ExitCode(IntEnum):
    """How a process ended: `detnas-trainer --help` says what each asks for.

    A stored result is a good end whatever its outcome, so that nobody is alarmed by a candidate
    that is invalid, diverges or needs too much memory. Trainers up to 0.1 ended with 42 and 43
    after such results; these codes stay free.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    DATA_CHANGED = 44
    INTERRUPTED = STOPPED

    @property
    def words(self) -> str:
        """For people: ``Out of memory``."""
        return self.name.replace("_", " ").capitalize()
