"""The run of a search: look at the store, decide what is due, start it, wait, look again."""

import platform
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

from detnas.data_identity import data_changed
from detnas.errors import UserError
from detnas.ledger.history import write_segments
from detnas.lifecycle.failures import set_aside_failures
from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.pools.retry import retry_failed_pool
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.status import job_name
from detnas.lifecycle.supplied import SuppliedInputs
from detnas.lifecycle.weight_collector import WeightCollector
from detnas.plan.stages import DueJob, Phase, Plan, Verb, plan
from detnas.processors import processors, threads_asked_for
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.runner.data_check import changes_since, check_data
from detnas.runner.errors import Interrupted, RunError
from detnas.runner.job_server import JobServer
from detnas.runner.opening import OpenedSearch, begin
from detnas.runner.run_lock import run_lock
from detnas.runner.running_jobs import DATA_CHANGED, Ended, Limits, RunningJobs
from detnas.runner.stopping import StopRequest
from detnas.runner.threads import job_threads
from detnas.runner.watcher import Watcher

WARM_TRAINER = (sys.executable, "-m", "detnas_trainer.warm")
"""The server that runs jobs; `detnas` itself never imports the trainer."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a search is run; nothing here changes what it finds.

    Attributes:
        trainer: command of the job server.
        limits: how often a job is tried.
        processors: that the jobs share.
        threads: of every job, where the user has set it; else its share of the processors.
        breaker: trials in a row lost to the machine's failures, after which the run stops.
        tick: seconds between two looks at the clock, the display and Ctrl-C.
        poll: seconds between two looks at a pool that another search trains.
        clock: seconds, rising.
    """

    trainer: tuple[str, ...] = WARM_TRAINER
    limits: Limits = field(default_factory=Limits)
    processors: int = field(default_factory=processors)
    threads: int | None = field(default_factory=threads_asked_for)
    breaker: int = 5
    tick: float = 0.2
    poll: float = 5.0
    clock: Callable[[], float] = time.monotonic


class SearchRun:
    """Runs one search to its end.

    Args:
        search: which.
        watcher: told what happens.
        stop: asked whether to go on.
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
        self._store = search.store
        self._requests = search.requests
        self._server = JobServer(settings.trainer, search.local / "trainer.txt")
        self._jobs = RunningJobs(self._store, self._server, search.local / "logs", settings.limits)
        self._look_afresh()
        retention = self._requests.spec.retention
        self._collector = WeightCollector(self._store, self._requests.search, retention)
        self._claim: PoolLease | None = None
        self._lost_in_a_row = 0

    def run(self) -> SearchState:
        """Run until the student is exported.

        Raises:
            Interrupted: stopped on request; the same command goes on from there.
            DataChangedError: the data set is not the one that the search began with.
            RunError: the search can not go on.
            StoreError: the store can not be used.
        """
        with run_lock(self._search.local), closing(_Stopping(self._server)):
            self._store.probe()
            check_data(self._search)
            begin(self._search)
            for folder in set_aside_failures(self._store, self._requests, self._reader.read()):
                self._watcher.say(f"{folder} failed in an earlier run: it is tried again")
            self._look_afresh()
            try:
                return self._loop()
            except RunError:
                self._stop_jobs()
                raise
            finally:
                self._release_pool()

    def _look_afresh(self) -> None:
        self._reader = SearchReader(self._store, self._requests, self._jobs.verification)
        self._requesting = JobRequests(self._store, self._requests, self._reader)
        self._given = SuppliedInputs(self._search)

    def _loop(self) -> SearchState:
        while True:
            self._reader.read()
            state = self._settle_givens()
            decided = plan(state.observation, self._requests.spec)
            self._watcher.phase(decided.phase, state)
            state = self._tidied(state)
            if decided.phase is Phase.FAILED:
                raise RunError(decided.problem, "mend that, then run the same command again")
            if decided.phase is Phase.SUCCEEDED:
                return state
            if len(state.pool) == len(self._requests.spec.teachers.phases):
                self._release_pool()
            self._start_due(decided, state)
            self._propose(decided)
            self._wait(decided)

    def _tidied(self, state: SearchState) -> SearchState:
        if state.facts is None:
            return state
        packed = write_segments(self._store, self._requests.search, state.history)
        self._collector.collect(state.history, state.facts)
        return self._reader.remember(packed)

    def _start_due(self, decided: Plan, state: SearchState) -> None:
        for due in decided.due:
            if self._jobs.runs(due):
                continue
            if due.verb is Verb.EVALUATE:  # its request is what makes it due
                self._requesting.relocate_trial(due.number)
                self._start(due, keys.trial_folder(self._requests.search, due.number))
                continue
            request = self._requesting.due_request(due, state)
            if due.verb is Verb.POOL and not self._holds_pool(state):
                continue
            self._requesting.record(request)
            self._start(due, request.key)

    def _start(self, due: DueJob, folder: str) -> None:
        parallelism = self._requests.spec.search.parallelism
        share = job_threads(due.verb, parallelism, self._settings.processors)
        self._jobs.start(due, folder, self._settings.threads or share)

    def _propose(self, decided: Plan) -> None:
        """Record new trials, each before it is started."""
        for proposal in self._requesting.propose(decided.proposals):
            folder = keys.trial_folder(self._requests.search, proposal.index)
            self._start(DueJob(Verb.EVALUATE, proposal.index), folder)

    def _holds_pool(self, state: SearchState) -> bool:
        claim = self._pool_claim(state)
        held = claim.hold()
        self._watcher.waits("" if held else f"the pool is being trained by {claim.other}")
        return held

    def _pool_claim(self, state: SearchState) -> PoolLease:
        assert state.prepare is not None
        if self._claim is None:
            key = keys.pool_lease_key(self._requests.pool_folder(state.prepare))
            holder = f"{self._requests.search} on {platform.node() or 'this machine'}"
            self._claim = PoolLease(self._store, key, holder, self._settings.clock)
        return self._claim

    def _settle_givens(self) -> SearchState:
        """See to what comes from elsewhere, before anything that needs it is due."""
        state = self._given.settle(self._reader)
        if not state.pool or self._requests.existing_pool is not None:
            return state
        claim = self._pool_claim(state)
        if retry_failed_pool(self._store, self._requests, self._reader, claim):
            self._watcher.say("the pool failed under another search: it is tried again")
        return self._reader.state

    def _release_pool(self) -> None:
        if self._claim is not None:
            self._claim.release()

    def _wait(self, decided: Plan) -> None:
        """Until something happened that may change the plan."""
        pool_is_due = any(due.verb is Verb.POOL for due in decided.due)
        waiting = pool_is_due and not (self._claim and self._claim.held)
        until = self._settings.clock() + self._settings.poll
        while True:
            ends = list(self._jobs.ended(self._settings.tick))
            for end in ends:
                self._note(end)
            if self._stop.times:
                self._stop_jobs()
                raise Interrupted
            self._keep_claim()
            self._watcher.tick(self._reader.state, self._jobs.running.values())
            idle = not self._jobs.running and not waiting
            if ends or idle or (waiting and self._settings.clock() >= until):
                return

    def _keep_claim(self) -> None:
        if self._claim is not None and self._claim.held and not self._claim.hold():
            self._jobs.signal(signal.SIGTERM, Verb.POOL)
            self._watcher.say(f"the pool was taken over by {self._claim.other}")

    def _note(self, end: Ended) -> None:
        self._watcher.ended(end)
        if end.exit == DATA_CHANGED and end.result is None:
            raise self._data_changed(end)
        if end.job.due.verb is Verb.POOL and end.result is not None and self._claim is not None:
            self._claim.hold()
        if end.job.due.verb is not Verb.EVALUATE or end.result is None:
            return
        lost = end.result.outcome is Outcome.INFRASTRUCTURE
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        if self._lost_in_a_row >= self._settings.breaker:
            raise RunError(
                f"{self._lost_in_a_row} trials in a row failed for reasons that are not theirs; "
                f"the last one: {end.result.message}",
                "mend that, then run the same command again",
            )

    def _data_changed(self, end: Ended) -> RunError:
        with suppress(UserError):  # what cannot be compared is in the job's log
            if changes := changes_since(self._search):
                error = data_changed(changes)
                return RunError(error.problem, error.remedy)
        return RunError(
            f"{job_name(end.job.due)} saw other data than the search was prepared with; "
            f"the end of its log:\n{end.log_end}",
            "see what it says above, then run the same command again",
        )

    def _stop_jobs(self) -> None:
        """Let the jobs write their checkpoints; a second request ends them at once."""
        asked = self._stop.times
        self._jobs.signal(signal.SIGTERM)  # before anything is shown
        if self._jobs.running:
            self._watcher.say("stopping: the running jobs write their checkpoints …")
        until = self._settings.clock() + self._settings.limits.patience
        while self._jobs.running and self._server.answers and self._stop.times == asked:
            if self._settings.clock() >= until:
                break
            self._jobs.ended_while_stopping(self._settings.tick)
            self._keep_claim()


@dataclass(frozen=True, slots=True)
class _Stopping:
    """Closes by stopping the server, and with it every job that still runs."""

    server: JobServer

    def close(self) -> None:
        """End the server."""
        self.server.stop()
