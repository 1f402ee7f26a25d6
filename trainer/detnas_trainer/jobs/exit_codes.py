"""What a scheduler learns from a job's process alone."""

from enum import IntEnum

from detnas_trainer.training.interruption import STOPPED


class ExitCode(IntEnum):
    """How a process ended: `detnas-trainer --help` says what each asks for."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INVALID = 42
    OUT_OF_MEMORY = 43
    DATA_CHANGED = 44
    INTERRUPTED = STOPPED

    @property
    def words(self) -> str:
        """For people: ``Out of memory``."""
        return self.name.replace("_", " ").capitalize()
