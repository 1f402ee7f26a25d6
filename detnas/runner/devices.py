"""Which job of a run has which GPUs of this machine; no GPU has two jobs."""

from collections.abc import Sequence


class Devices:
    """The GPUs of this machine, and the jobs that have them.

    Args:
        names: of the GPUs, as ``CUDA_VISIBLE_DEVICES`` has them; empty if jobs run on the CPU.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._taken: dict[str, tuple[str, ...]] = {}

    @property
    def free(self) -> tuple[str, ...]:
        """GPUs that no job has."""
        taken = {name for names in self._taken.values() for name in names}
        return tuple(name for name in self.names if name not in taken)

    def take(self, job: str, count: int) -> tuple[str, ...]:
        """Give a job GPUs that are free, of which there must be enough."""
        self._taken[job] = self.free[:count]
        return self._taken[job]

    def release(self, job: str) -> None:
        """Take a job's GPUs back."""
        self._taken.pop(job, None)
