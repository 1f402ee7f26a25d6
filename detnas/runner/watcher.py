"""What a run tells those who watch it."""

from collections.abc import Collection
from typing import Protocol

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.stages import Phase
from detnas.runner.running_jobs import Ended, RunningJob


class Watcher(Protocol):
    """Told what happens, in the runner's own thread."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def phase(self, phase: Phase, state: SearchState) -> None:
        """The plan was looked at; the phase may be the same as before."""

    def waits(self, reason: str) -> None:
        """Nothing can be done until something outside happens; empty when that is over."""

    def ended(self, end: Ended) -> None:
        """A job's process ended."""

    def tick(self, state: SearchState, running: Collection[RunningJob]) -> None:
        """Time passed."""
