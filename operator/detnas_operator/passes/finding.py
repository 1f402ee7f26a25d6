"""Gathers, at the end of a pass, what the status will say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.lifecycle.status import search_status
from detnas.plan.stages import DueJob, Plan
from detnas.records.results import Outcome
from detnas_operator.job.state import JobState, Running, Waiting, WaitingReason
from detnas_operator.passes.explaining import Explanation, explain, job_states
from detnas_operator.passes.memory import SearchMemory, parse_time, seconds_since
from detnas_operator.passes.observing import Naming
from detnas_operator.passes.restraint import Restraint
from detnas_operator.passes.search_jobs import SearchJobs, has_ended, purpose
from detnas_operator.passes.undone import Undone
from detnas_operator.status.findings import ActiveJob, Findings, Reason

Object = dict[str, Any]
EXPLAIN_SECONDS = 10.0
"""Why Jobs wait is looked up this often; kubectl's users look again about as fast."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a pass leaves to be looked at.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        naming: names what is due.
        decided: what was due.
        restraint: what kept the search from starting more.
        now: seconds, rising.
        progress_seconds: how often the progress of running Jobs is read.
        undone: takes what the API server does not say of pods and events.
    """

    memory: SearchMemory
    jobs: SearchJobs
    naming: Naming
    decided: Plan
    restraint: Restraint
    now: float
    progress_seconds: float
    undone: Undone

    def findings(self, gpu_seconds: float, forgiven: int, troubles: tuple[Reason, ...]) -> Findings:
        """Return everything that the status follows from."""
        memory, state = self.memory, self.naming.state
        active = self._active()
        self._read_attempts(active)
        pool = ""
        if state.prepare is not None and state.prepare.outcome is Outcome.SUCCEEDED:
            pool = f"{memory.store.uri}/{memory.requests.pool_folder(state.prepare)}"
        claim = memory.claim
        waits = claim is not None and not claim.held and self._pool_is_due()
        return Findings(
            generation=memory.generation,
            folder=memory.search.uri,
            image=memory.image,
            search=search_status(memory.search, state, memory.progress_of),
            suspended=self.restraint.suspended,
            halted=self.restraint.halted,
            jobs=active,
            pool=pool,
            pool_phases=(len(state.pool), len(memory.spec.teachers.phases)),
            pool_holder=(claim.other or "") if claim is not None and waits else "",
            troubles=troubles,
            gpu_seconds=gpu_seconds,
            forgiven=forgiven,
        )

    def _active(self) -> Mapping[DueJob, ActiveJob]:
        memory = self.memory
        live = {name: job for name, job in self.jobs.all().items() if not has_ended(job)}
        now = datetime.now(UTC)
        states = job_states(live, memory.explanation, now)
        waiting = [name for name, state in states.items() if isinstance(state, Waiting)]
        if not waiting:
            memory.explanation = Explanation()
        elif seconds_since(memory.explained, self.now) >= EXPLAIN_SECONDS:
            with self.undone:
                memory.explanation, memory.explained = explain(self.jobs, waiting), self.now
            states = job_states(live, memory.explanation, now)
        return {purpose(job): _active_job(name, job, states[name]) for name, job in live.items()}

    def _read_attempts(self, active: Mapping[DueJob, ActiveJob]) -> None:
        if seconds_since(self.memory.attempts_read, self.now) < self.progress_seconds:
            return
        begun = [due for due, job in active.items() if _has_begun(job.state)]
        folders = [folder for due in begun if (folder := self.naming.folder(due))]
        self.memory.read_attempts(folders, self.now)
        self._look_up_pods([job.name for job in active.values()])

    def _look_up_pods(self, names: list[str]) -> None:
        jobs = self.jobs.all()
        live = [jobs[name] for name in names if name in jobs]
        now, before = datetime.now(UTC), self.memory.running.read
        if before is not None and (now - before).total_seconds() < self.progress_seconds / 2:
            return  # as after a start: the pass had to know their time before it decided
        with self.undone:
            self.memory.running.look_up(live, self.jobs.pods_of(*names), now)
            return
        self.memory.attempts_read = None  # the next pass asks again: does it last?

    def _pool_is_due(self) -> bool:
        phases = len(self.memory.spec.teachers.phases)
        return len(self.naming.state.pool) < phases and bool(self.decided.due)


def _has_begun(state: JobState) -> bool:
    """An attempt that ended at once is seldom seen to run; its successor waits for long."""
    retrying = isinstance(state, Waiting) and state.reason is WaitingReason.RETRYING
    return retrying or isinstance(state, Running)


def _active_job(name: str, job: Object, state: JobState) -> ActiveJob:
    started = parse_time(job.get("status", {}).get("startTime"))
    waiting_since = started or parse_time(job["metadata"].get("creationTimestamp"))
    return ActiveJob(name=name, state=state, started=started, waiting_since=waiting_since)
