"""The jobs that run now, and what their ends mean: done, tried again, or given up."""

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from detnas.exit_codes import ExitCode
from detnas.lifecycle.attempts import attempt_numbers
from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import DueJob, Verb
from detnas.records import keys
from detnas.records.results import Result
from detnas.runner.job_server import JobServer, Started
from detnas.runner.logs import log_end
from detnas.store.errors import StoreError

_SIGNALLED = 128
_WHO_KILLS = (
    "if memory ran out, the kernel's log (dmesg) says so, and a smaller batchSize or "
    "search.parallelism needs less"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a job is tried within one run.

    Attributes:
        attempts: that may fail, before the job's result is Infrastructure.
        resumptions: that a job may ask for, before one counts as a failure.
        patience: seconds that jobs get to write their checkpoints when a run is stopped.
    """

    attempts: int = 3
    resumptions: int = 50
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job's process.

    Attributes:
        due: what it is.
        folder: key of its folder.
        log: its output, on this machine.
        attempts: number of the last attempt before it.
        started: when.
    """

    due: DueJob
    folder: str
    log: Path
    attempts: int
    started: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's process that ended.

    Attributes:
        job: which.
        exit: its exit code, or below zero the signal that ended it.
        result: the job's result; none if it is to be tried again.
        log_end: the last lines of its output.
    """

    job: RunningJob
    exit: int
    result: Result | None
    log_end: str


@dataclass
class RunningJobs:
    """Starts jobs and settles their ends.

    Args:
        session: of the search whose jobs they are.
        server: runs them.
        logs: local folder for their output.
        limits: how often they are tried.
    """

    session: SearchSession
    server: JobServer
    logs: Path
    limits: Limits = Limits()
    running: dict[str, RunningJob] = field(default_factory=dict)
    _failures: Counter[str] = field(default_factory=Counter)
    _resumptions: Counter[str] = field(default_factory=Counter)

    def runs(self, due: DueJob) -> bool:
        """Whether this job has a process."""
        return any(job.due == due for job in self.running.values())

    def start(self, due: DueJob, folder: str, threads: int) -> None:
        """Start the job whose request lies in ``folder``."""
        attempts = max(attempt_numbers(self.session.store, folder), default=0)
        self._keep_log_of_killed_run(folder, attempts)
        log = self._log(folder, attempts + 1)
        with contextlib.suppress(OSError):
            log.unlink(missing_ok=True)  # of an attempt that died before it took its number
        job = RunningJob(due, folder, log, attempts, datetime.now(UTC))
        uri = f"{self.session.store.uri}/{folder}"
        self.running[self.server.start(Started(due.verb, uri, log, threads))] = job

    def ended(self, timeout: float) -> Iterator[Ended]:
        """Wait at most ``timeout`` seconds, and settle every process that ended."""
        for name, code in self.server.ended(timeout):
            job = self.running.pop(name)
            self._keep_log(job)
            yield Ended(job, code, self._settle(job, code), log_end(job.log))

    def ended_while_stopping(self, timeout: float) -> None:
        """The same, with nothing counted against jobs that were told to stop."""
        for name, _ in self.server.ended(timeout):
            self._keep_log(self.running.pop(name))

    def signal(self, number: signal.Signals, verb: Verb | None = None) -> None:
        """Signal every process, or those of one verb."""
        for name, job in self.running.items():
            if verb in (None, job.due.verb):
                self.server.signal(name, number)

    def _settle(self, job: RunningJob, code: int) -> Result | None:
        if (result := self.session.result(job.due)) is not None:
            return result
        if problem := self.session.rejected.pop(job.folder, ""):
            return self._fail(job, problem)
        if code == ExitCode.DATA_CHANGED:
            return None  # which says nothing of the job
        if code == ExitCode.INTERRUPTED:
            self._resumptions[job.folder] += 1
            if self._resumptions[job.folder] <= self.limits.resumptions:
                return None
        self._failures[job.folder] += 1
        allowed = 1 if job.due.verb is Verb.PREPARE else self.limits.attempts
        if self._failures[job.folder] < allowed:
            return None
        attempts = self._failures[job.folder]
        return self._fail(job, f"{attempts} attempts, the last one {ending(code)}")

    def _fail(self, job: RunningJob, message: str) -> Result:
        end = log_end(job.log)
        message = f"{message}; the end of its log:\n{end}" if end else message
        return self.session.fail(job.due, message, job.started)

    def _log(self, folder: str, attempt: int) -> Path:
        return self.logs / f"{folder.replace('/', '_')}.{attempt}.txt"

    def _keep_log_of_killed_run(self, folder: str, attempt: int) -> None:
        log, key = self._log(folder, attempt), f"{keys.attempt_folder(folder, attempt)}/log.txt"
        with contextlib.suppress(StoreError):  # a copy for people
            if log.is_file() and self.session.store.size(key) is None:
                self.session.store.upload_file(key, log)

    def _keep_log(self, job: RunningJob) -> None:
        """Put the log beside the attempt's other files, or where its number would have been."""
        if not job.log.is_file():
            return
        with contextlib.suppress(StoreError):  # a copy for people
            taken = attempt_numbers(self.session.store, job.folder, "attempt.json")
            number = max([job.attempts + 1, *taken])
            key = f"{keys.attempt_folder(job.folder, number)}/log.txt"
            self.session.store.upload_file(key, job.log)


def ending(code: int) -> str:
    """Say in words how a process ended, and of a killed one where to look."""
    if code == ExitCode.INTERRUPTED:
        return "asked too often to be resumed"
    number = _signal(code)
    if number is signal.SIGKILL:
        return f"was killed (SIGKILL); {_WHO_KILLS}"
    if number is not None:
        return f"was ended by {number.name}"
    return f"ended with exit {code}" if code >= 0 else f"was ended by signal {-code}"


def _signal(code: int) -> signal.Signals | None:
    """The signal that ended a process, told as -9 by Python and as 137 by shells."""
    try:
        return signal.Signals(-code if code < 0 else code - _SIGNALLED)
    except ValueError:
        return None
