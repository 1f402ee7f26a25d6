"""The running jobs, and what their exits mean: done, to be retried, or failed."""

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from detnas.exit_codes import ExitCode
from detnas.lifecycle.attempts import attempt_numbers
from detnas.lifecycle.session import SearchSession
from detnas.plan.gpus import gpus_on_one_machine
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.results import Result
from detnas.records.verbs import Verb
from detnas.runner.devices import Devices
from detnas.runner.job_server import JobCommand, JobServer, log_end
from detnas.store import Store
from detnas.store.errors import StoreError

_SIGNALLED = 128
_LIKELY_KILLER = (
    "if memory ran out, the kernel's log (dmesg) shows it, and a smaller batchSize or "
    "search.parallelism needs less"
)


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often a job is retried within one run.

    Attributes:
        attempts: that may fail before the job's result is Infrastructure.
        resumptions: that a job may request before one counts as a failure.
        patience: seconds for jobs to write their checkpoints when a run is stopped.
    """

    attempts: int = 3
    resumptions: int = 50
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job's process.

    Attributes:
        job_id: the job.
        folder: key of its folder.
        log: its output, on this machine.
        attempts: number of the last attempt before it.
        started: when it was started.
    """

    job_id: JobId
    folder: str
    log: Path
    attempts: int
    started: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's process that ended.

    Attributes:
        job: the job.
        exit: its exit code, or the negative number of the signal that ended it.
        result: the job's result; None if it is to be retried.
        log_end: the last lines of its output.
    """

    job: RunningJob
    exit: int
    result: Result | None
    log_end: str


@dataclass
class RunningJobs:
    """Starts jobs and handles their exits.

    Args:
        session: of the search whose jobs they are.
        server: runs them.
        logs: local folder for their output.
        limits: how often they are retried.
        devices: GPUs that they share out.
    """

    session: SearchSession
    server: JobServer
    logs: Path
    limits: RetryLimits = RetryLimits()
    devices: Devices = field(default_factory=lambda: Devices(()))
    running: dict[str, RunningJob] = field(default_factory=dict)
    _store: Store = field(init=False)
    _failures: Counter[str] = field(default_factory=Counter)
    _resumptions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._store = self.session.store

    def runs(self, job_id: JobId) -> bool:
        """Whether this job has a process."""
        return any(job.job_id == job_id for job in self.running.values())

    def can_start(self, verb: Verb) -> int:
        """Return how many more jobs of a verb find GPUs enough; those that need none always do."""
        needed = self._gpus(verb)
        return len(self.devices.free) // needed if needed else sys.maxsize

    def _gpus(self, verb: Verb) -> int:
        return gpus_on_one_machine(verb, self.session.spec, len(self.devices.names))

    def start(self, job_id: JobId, folder: str, threads: int) -> None:
        """Start the job whose request is stored in ``folder``."""
        attempts = max(attempt_numbers(self._store, folder), default=0)
        self._keep_log_of_killed_run(folder, attempts)
        log = self._log(folder, attempts + 1)
        with contextlib.suppress(OSError):
            log.unlink(missing_ok=True)  # of an attempt that died before it took its number
        job = RunningJob(job_id, folder, log, attempts, datetime.now(UTC))
        uri = f"{self._store.uri}/{folder}"
        taken = self.devices.take(folder, self._gpus(job_id.verb))
        devices = taken if self.devices.names else None
        command = JobCommand(job_id.verb, uri, log, threads, devices)
        self.running[self.server.start(command)] = job

    def ended(self, timeout: float) -> Iterator[Ended]:
        """Wait at most ``timeout`` seconds, and handle every process that ended."""
        for name, code in self.server.ended(timeout):
            job = self._popped(name)
            yield Ended(job, code, self._result(job, code), log_end(job.log))

    def ended_while_stopping(self, timeout: float) -> None:
        """Wait in the same way while jobs are being stopped, which are not failed attempts."""
        for name, _ in self.server.ended(timeout):
            self._popped(name)

    def _popped(self, name: str) -> RunningJob:
        job = self.running.pop(name)
        self.devices.release(job.folder)
        self._keep_log(job)
        return job

    def signal(self, number: signal.Signals, verb: Verb | None = None) -> None:
        """Signal every process, or those of one verb."""
        for name, job in self.running.items():
            if verb in (None, job.job_id.verb):
                self.server.signal(name, number)

    def _result(self, job: RunningJob, code: int) -> Result | None:
        if (result := self.session.result(job.job_id)) is not None:
            return result
        if problem := self.session.rejected.pop(job.folder, ""):
            return self._fail(job, problem)
        if code == ExitCode.DATA_CHANGED:
            return None  # the job is not the cause
        if code == ExitCode.INTERRUPTED:
            self._resumptions[job.folder] += 1
            if self._resumptions[job.folder] <= self.limits.resumptions:
                return None
        self._failures[job.folder] += 1
        allowed = 1 if job.job_id.verb is Verb.PREPARE else self.limits.attempts
        if self._failures[job.folder] < allowed:
            return None
        attempts = self._failures[job.folder]
        return self._fail(job, f"{attempts} attempts, the last one {describe_exit(code)}")

    def _fail(self, job: RunningJob, message: str) -> Result:
        end = log_end(job.log)
        message = f"{message}; the end of its log:\n{end}" if end else message
        return self.session.fail(job.job_id, message, job.started)

    def _log(self, folder: str, attempt: int) -> Path:
        return self.logs / f"{folder.replace('/', '_')}.{attempt}.txt"

    def _keep_log_of_killed_run(self, folder: str, attempt: int) -> None:
        log, key = self._log(folder, attempt), keys.log_key(folder, attempt)
        with contextlib.suppress(StoreError):  # a copy for people
            if log.is_file() and self._store.size(key) is None:
                self._store.upload_file(key, log)

    def _keep_log(self, job: RunningJob) -> None:
        """Store the log with the attempt's other files, or under its number if it wrote none."""
        if not job.log.is_file():
            return
        with contextlib.suppress(StoreError):  # a copy for people
            taken = attempt_numbers(self._store, job.folder, keys.ATTEMPT)
            number = max([job.attempts + 1, *taken])
            self._store.upload_file(keys.log_key(job.folder, number), job.log)


def describe_exit(code: int) -> str:
    """Describe how a process ended; for a killed one also where to look."""
    if code == ExitCode.INTERRUPTED:
        return "requested to be resumed too often"
    number = _signal(code)
    if number is signal.SIGKILL:
        return f"was killed (SIGKILL); {_LIKELY_KILLER}"
    if number is not None:
        return f"was ended by {number.name}"
    return f"ended with exit {code}" if code >= 0 else f"was ended by signal {-code}"


def _signal(code: int) -> signal.Signals | None:
    """The signal that ended a process, reported as -9 by Python and as 137 by shells."""
    try:
        return signal.Signals(-code if code < 0 else code - _SIGNALLED)
    except ValueError:
        return None
