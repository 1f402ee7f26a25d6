"""The local run of a search: read the store, plan, start what is due, wait, repeat."""

import platform
import signal
import sys
import time
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from detnas.data_identity import data_changed
from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.lifecycle.jobs import job_name
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import JobId, Phase, Plan, trial_verb
from detnas.plan.threads import concurrent_jobs, job_threads
from detnas.processors import processors, requested_threads
from detnas.records.results import Outcome
from detnas.records.verbs import Verb
from detnas.runner.devices import Devices
from detnas.runner.errors import Interrupted, RunError
from detnas.runner.job_server import JobServer
from detnas.runner.opening import OpenedSearch, begin
from detnas.runner.run_lock import run_lock
from detnas.runner.running_jobs import (
    Ended,
    RetryLimits,
    RunningJob,
    RunningJobs,
)
from detnas.runner.stopping import StopRequest
from detnas.runner.unchanged_data import changes_since, check_data_unchanged

WARM_TRAINER = (sys.executable, "-m", "detnas_trainer.warm")
"""Command of the server that runs jobs; `detnas` itself never imports the trainer."""


class Watcher(Protocol):
    """Receives what happens, in the runner's own thread."""

    def say(self, text: str) -> None:
        """Show a line."""

    def phase(self, phase: Phase, state: SearchState) -> None:
        """Show the phase after each plan; it may be unchanged."""

    def waits(self, reason: str) -> None:
        """Show what the run waits for; empty when that is over."""

    def ended(self, end: Ended) -> None:
        """Show how a job's process ended."""

    def tick(self, state: SearchState, running: Collection[RunningJob]) -> None:
        """Show the state; called often."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a search is run; nothing here changes its results.

    Attributes:
        trainer: command of the job server.
        limits: how often a job is retried.
        processors: that the jobs share.
        threads: of every job, if set by the user; by default its share of the processors.
        devices: names of the GPUs to use, as ``CUDA_VISIBLE_DEVICES`` has them; by default those
            that the job server sees.
        breaker: consecutive trials lost to the infrastructure after which the run stops.
        tick: seconds between two checks of the clock, the display and Ctrl-C.
        poll: seconds between two reads of a pool that another search trains.
        clock: monotonic, in seconds.
    """

    trainer: tuple[str, ...] = WARM_TRAINER
    limits: RetryLimits = field(default_factory=RetryLimits)
    processors: int = field(default_factory=processors)
    threads: int | None = field(default_factory=requested_threads)
    devices: tuple[str, ...] | None = None
    breaker: int = 5
    tick: float = 0.2
    poll: float = 5.0
    clock: Callable[[], float] = time.monotonic


class SearchRun:
    """Runs one search to its end.

    Args:
        search: the search.
        watcher: receives what happens.
        stop: whether the user has requested to stop.
        settings: how it is run.
    """

    def __init__(
        self,
        search: OpenedSearch,
        watcher: Watcher,
        stop: StopRequest,
        settings: RunSettings = RunSettings(),
    ) -> None:
        self._search = search
        self._watcher = watcher
        self._stop = stop
        self._settings = settings
        holder = f"{search.requests.search} on {platform.node() or 'this machine'}"
        self._session = SearchSession(search, holder, clock=settings.clock)
        self._server = JobServer(settings.trainer, search.local / "trainer.txt")
        self._jobs = RunningJobs(
            self._session, self._server, search.local / "logs", settings.limits
        )
        self._lost_in_a_row = 0

    def run(self) -> SearchState:
        """Run until the student is exported.

        Raises:
            Interrupted: stopped on request; the same command continues from there.
            DataChangedError: the data set is not the one that the search began with.
            RunError: the search cannot continue.
            StoreError: the store cannot be used.
        """
        with run_lock(self._search.local), closing(self._server):
            self._search.store.probe()
            check_data_unchanged(self._search)
            begin(self._search)
            self._session.refresh()
            for folder in self._session.retry_failures():
                self._watcher.say(f"{folder} failed in an earlier run: it is retried")
            try:
                return self._loop()
            except RunError:
                self._stop_jobs()
                raise
            finally:
                self._session.release_pool()

    def _loop(self) -> SearchState:
        session = self._session
        while True:
            session.refresh()
            if session.resolve_supplied():
                self._watcher.say("the pool failed under another search: it is retried")
            decided = session.plan()
            self._watcher.phase(decided.phase, session.state)
            session.tidy()
            if decided.phase is Phase.FAILED:
                raise RunError(decided.problem, "fix that, then run the same command again")
            if decided.phase is Phase.SUCCEEDED:
                return session.state
            if len(session.state.pool) == len(session.spec.teachers.trained_phases):
                session.release_pool()
            self._start_due(decided)
            self._wait(decided)

    def _start_due(self, decided: Plan) -> None:
        if not (decided.due or decided.proposals) or not self._knows_devices():
            return
        for job_id in decided.due:
            if self._jobs.runs(job_id) or (job_id.verb is Verb.POOL and not self._holds_pool()):
                continue
            folder = self._session.request(job_id)
            if self._jobs.can_start(job_id.verb):  # else it is still due when a GPU is free
                self._start(job_id, folder)
        # A proposal waits for a GPU: it then knows the trials that have ended meanwhile.
        proposals = min(decided.proposals, self._jobs.can_start(trial_verb(self._session.spec)))
        for job_id in self._session.propose(proposals):
            self._start(job_id, self._session.job_folder(job_id))

    def _knows_devices(self) -> bool:
        """Wait for the job server, without which no job runs; False if the run is to stop."""
        self._server.open()
        while not self._server.is_ready and not self._stop.times:
            for _ in self._jobs.ended(self._settings.tick):
                pass  # none runs yet
        if self._server.is_ready and not self._jobs.devices.names:
            names = self._settings.devices
            self._jobs.devices = Devices(self._server.devices if names is None else names)
        return self._server.is_ready

    def _start(self, job_id: JobId, folder: str) -> None:
        at_once = concurrent_jobs(job_id.verb, self._session.spec)
        share = job_threads(job_id.verb, at_once, self._settings.processors)
        self._jobs.start(job_id, folder, self._settings.threads or share)

    def _holds_pool(self) -> bool:
        held, lease = self._session.holds_pool(), self._session.lease
        assert lease is not None
        self._watcher.waits("" if held else f"the pool is being trained by {lease.other}")
        return held

    def _wait(self, decided: Plan) -> None:
        """Wait until something happens that may change the plan."""
        pool_is_due = any(job_id.verb is Verb.POOL for job_id in decided.due)
        state, lease = self._session.state, self._session.lease
        waiting = pool_is_due and not (lease and lease.held)
        until = self._settings.clock() + self._settings.poll
        while True:
            ends = list(self._jobs.ended(self._settings.tick))
            for end in ends:
                self._handle(end)
            if self._stop.times:
                self._stop_jobs()
                raise Interrupted
            if pool_is_due:
                self._keep_lease()
            self._watcher.tick(state, self._jobs.running.values())
            idle = not self._jobs.running and not waiting
            if ends or idle or (waiting and self._settings.clock() >= until):
                return

    def _keep_lease(self) -> None:
        lease = self._session.lease
        if lease is not None and lease.held and not lease.hold():
            self._jobs.signal(signal.SIGTERM, Verb.POOL)
            self._watcher.say(f"{lease.other} has taken the lease of the pool")

    def _handle(self, end: Ended) -> None:
        self._watcher.ended(end)
        if end.exit == ExitCode.DATA_CHANGED and end.result is None:
            raise self._data_changed(end)
        if end.job.job_id.verb is Verb.POOL and end.result is not None:
            self._session.holds_pool()
        if not end.job.job_id.verb.is_trial or end.result is None:
            return
        lost = end.result.outcome is Outcome.INFRASTRUCTURE
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        if self._lost_in_a_row >= self._settings.breaker:
            raise RunError(
                f"{self._lost_in_a_row} consecutive trials were lost to the infrastructure; "
                f"the last one: {end.result.message}",
                "fix that, then run the same command again",
            )

    def _data_changed(self, end: Ended) -> RunError:
        with suppress(UserError):  # what cannot be compared is in the job's log
            if changes := changes_since(self._search):
                error = data_changed(changes)
                return RunError(error.problem, error.remedy)
        return RunError(
            f"{job_name(end.job.job_id)} read other data than the search was prepared with; "
            f"the end of its log:\n{end.log_end}",
            "fix the cause shown above, then run the same command again",
        )

    def _stop_jobs(self) -> None:
        """Let the jobs write their checkpoints; a second request ends them at once."""
        requested = self._stop.times
        self._jobs.signal(signal.SIGTERM)  # before anything is shown
        if self._jobs.running:
            self._watcher.say("stopping: the running jobs write their checkpoints …")
        until = self._settings.clock() + self._settings.limits.patience
        while self._jobs.running and self._server.is_ready and self._stop.times == requested:
            if self._settings.clock() >= until:
                break
            self._jobs.ended_while_stopping(self._settings.tick)
            self._keep_lease()
