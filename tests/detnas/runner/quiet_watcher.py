"""A watcher that prints lines."""

from collections.abc import Collection

from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.status import job_name
from detnas.plan.stages import Phase
from detnas.runner.running_jobs import Ended, RunningJob


class QuietWatcher:
    """Prints what happened, one line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)
        print(text, flush=True)

    def phase(self, phase: Phase, state: SearchState) -> None:
        pass

    def waits(self, reason: str) -> None:
        if reason:
            self.say(f"waiting: {reason}")

    def ended(self, end: Ended) -> None:
        found = end.result.outcome if end.result else "again"
        self.say(f"{job_name(end.job.due)} exit {end.exit} {found}\n{end.log_end}")

    def tick(self, state: SearchState, running: Collection[RunningJob]) -> None:
        pass
