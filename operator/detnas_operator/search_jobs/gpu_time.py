"""GPU seconds that a search has used; restarts do not change them, and they never decrease.

They are the sum of what results state, of what running pods hold, and of what Jobs spent that were
stopped before they had a result. The last is recorded in the store: otherwise a search that is
stopped at the end of its budget would seem to have used less, and would start again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic import Field

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.gpus import gpus_of_pod
from detnas.plan.stages import JobId, trial_verb
from detnas.records import keys
from detnas.records.results import Result
from detnas.records.verbs import RESULT_TYPES, Verb
from detnas.schema import Count, Schema
from detnas.spec.manifest import SearchSpec
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.pods import is_ignored, last_end
from detnas_operator.search_jobs.jobs import job_id_of


class StoppedJob(Schema):
    """A Job that was stopped.

    Attributes:
        verb: what it did.
        number: of the trial or phase.
        seconds: for which its pods had held their nodes, added up.
        until: when it was stopped; None if long before its job ended.
    """

    verb: Verb
    number: Count
    seconds: float = Field(ge=0)
    until: datetime | None = None


class GpuTime:
    """GPU time of one search.

    Args:
        store: of the search.
        search: key of its folder.

    Attributes:
        listed: when pods of running Jobs were last listed; None if never.
        written_off: GPU seconds of accepted data loss: no record states them any more.
        used: GPU seconds used so far, as last counted; they never decrease.
    """

    def __init__(self, store: Store, search: str) -> None:
        self.listed: datetime | None = None
        self.written_off = self.used = 0.0
        self._running: dict[str, tuple[float, int]] = {}
        self.read_from(store, search)

    def read_from(self, store: Store, search: str) -> None:
        """Continue with the records of a new generation of the search."""
        self._store, self._search = store, search
        self._stopped: dict[str, StoppedJob] | None = None
        self._trials: dict[int, Result] = {}

    def list_running(self, jobs: Iterable[JobView], pods: Sequence[PodView], now: datetime) -> None:
        """Record the pods of all running Jobs, which are among these."""
        jobs = list(jobs)
        own = {job.uid: own_pods(job, pods) for job in jobs}
        self._running = {
            job.uid: (job_seconds(job, own[job.uid], now), resumptions(own[job.uid]))
            for job in jobs
        }
        self.listed = now

    def running_seconds(self, job: JobView, now: datetime) -> float:
        """Return for how many seconds a Job's pods have held nodes, added up."""
        known = self._running.get(job.uid)
        if known is None or self.listed is None:
            return 0.0
        ready = job.ready_pods  # these have run since they were listed
        return known[0] + ready * (now - self.listed).total_seconds()

    def resumptions(self, job: JobView) -> int:
        """Return how often a Job was resumed, by those of its pods that are still there."""
        return self._running.get(job.uid, (0.0, 0))[1]

    def record_stop(self, job: JobView, seconds: float, now: datetime) -> None:
        """Record the pod seconds of a Job before it is deleted, unless it never ran."""
        uid, job_id, stopped = job.uid, job_id_of(job), self.stopped()
        if uid in stopped or not seconds:
            return
        record = StoppedJob(verb=job_id.verb, number=job_id.number, seconds=seconds, until=now)
        try:
            create_record(self._store, f"{self._search}/stopped/{uid}.json", record)
        except AlreadyExists:  # written before, and the answer was lost
            self._stopped = None
        else:
            stopped[uid] = record

    def stopped(self) -> dict[str, StoppedJob]:
        """Return the stopped Jobs by UID, read from the store once."""
        if self._stopped is None:
            folder = f"{self._search}/stopped/"
            self._stopped = {
                key.removeprefix(folder).removesuffix(".json"): stopped
                for key in self._store.list(folder)
                if (stopped := load_record(self._store, key, StoppedJob)) is not None
            }
        return self._stopped

    def count(
        self, jobs: Iterable[JobView], state: SearchState, spec: SearchSpec, *, trained_pool: bool
    ) -> None:
        """Count the GPU seconds used so far.

        Args:
            jobs: the search's Jobs in the cluster.
            state: as read from the store.
            spec: of the search.
            trained_pool: by this search, instead of another one.
        """
        now, pod_time = datetime.now(UTC), _stated(state, spec, trained_pool=trained_pool)
        counting = self._running.keys() - self.stopped().keys()
        for job in (job for job in jobs if job.uid in counting):
            if not state.is_finished(job_id := job_id_of(job)):
                pod_time[job_id.verb] += self.running_seconds(job, now)
        by_job = defaultdict[JobId, list[StoppedJob]](list)
        for stop in self.stopped().values():
            by_job[JobId(stop.verb, stop.number)].append(stop)
        for job_id, stopped in by_job.items():
            counted = state.is_finished(job_id) and (trained_pool or job_id.verb is not Verb.POOL)
            result = self._result(state, job_id) if counted else None
            pod_time[job_id.verb] += unstated_seconds(stopped, result, _workers(spec, job_id.verb))
        gpu_seconds = sum(gpus_of_pod(verb, spec) * pod_time[verb] for verb in pod_time)
        # A pod exists shortly before its work begins; its result does not count that time.
        self.used = max(self.used, self.written_off + gpu_seconds)

    def reset(self) -> None:
        """Count again from what the records still state: a loss of data is accepted."""
        self.used = self.written_off = 0.0

    def _result(self, state: SearchState, job_id: JobId) -> Result | None:
        if not job_id.verb.is_trial:
            return state.result_of(job_id)
        if job_id.number not in self._trials:
            key = keys.result_key(keys.trial_folder(self._search, job_id.number))
            if (result := load_record(self._store, key, RESULT_TYPES[job_id.verb])) is None:
                return None
            self._trials[job_id.number] = result
        return self._trials[job_id.number]


def _stated(state: SearchState, spec: SearchSpec, *, trained_pool: bool) -> dict[Verb, float]:
    """Return the pod seconds that results state, by kind of job."""
    stated = defaultdict(float, {trial_verb(spec): state.history.summary.milliseconds / 1000})
    stated[Verb.BASE] = _seconds(state.base)
    for job in state.final_stages.jobs if state.final_stages is not None else ():
        stated[job.verb] += _seconds(job.result)
    stated[Verb.EXTRACT] = _seconds(state.extraction)
    if trained_pool:
        stated[Verb.POOL] = _workers(spec, Verb.POOL) * sum(map(_seconds, state.pool))
    return stated


def unstated_seconds(stopped: Sequence[StoppedJob], result: Result | None, pods: int = 1) -> float:
    """Return the pod seconds of one job's stopped Jobs that its result does not state.

    Its result states what checkpoints recorded of earlier attempts: its activities' time beyond
    its own attempt. A stop after that attempt had begun stopped that one.

    Args:
        stopped: of one job.
        result: None if its time is not counted.
        pods: of each of these Jobs.
    """
    spent = sum(stop.seconds for stop in stopped)
    if result is None:
        return spent
    own = (result.finished - result.started).total_seconds()
    stated = max(0.0, _seconds(result) - own)
    ends = [min(stop.until, result.finished) for stop in stopped if stop.until is not None]
    stated += max([0.0, *((end - result.started).total_seconds() for end in ends)])
    return max(0.0, spent - pods * stated)


def resumptions(job_pods: Sequence[PodView]) -> int:
    """Return how often a Job was resumed, by its pods: ended ones that do not count as failures.

    Pods of a lost node are deleted after a while; the attempts in the store are complete.
    """
    ignored = (pod for pod in job_pods if pod.phase == "Failed" and is_ignored(pod))
    return max(Counter(pod.index for pod in ignored).values(), default=0)


def pod_seconds(job_pods: Sequence[PodView], now: datetime) -> float:
    """Return for how long the pods have held their nodes' resources, added up.

    That is until a pod's last container ended, or if nobody observed that, until its deletion.
    """
    return sum(_held(pod, now) for pod in job_pods)


def job_seconds(job: JobView, own: Sequence[PodView], now: datetime) -> float:
    """Return for how long a Job's pods have held nodes, added up.

    Of pods in another cluster only the Job's own status is known: when it began, until it ended.

    Args:
        job: the Job.
        own: its pods.
        now: the time.
    """
    if not job.manager or job.started is None:
        return pod_seconds(own, now)
    ended = [c.changed for kind in ("Complete", "Failed") if (c := job.true_condition(kind))]
    if not (ended or job.ready_pods):
        return 0.0
    until = next(filter(None, ended), now)
    return job.parallelism * max(0.0, (until - job.started).total_seconds())


def _held(pod: PodView, now: datetime) -> float:
    if pod.started is None:
        return 0.0
    ended = now  # also if the trainer has ended, and another container has not
    if pod.has_ended:
        ended = last_end(pod) or pod.deleted or pod.started
    return max(0.0, (ended - pod.started).total_seconds())


def _workers(spec: SearchSpec, verb: Verb) -> int:
    return spec.teachers.workers if verb is Verb.POOL else 1


def _seconds(result: Result | None) -> float:
    return sum(result.seconds.values()) if result is not None else 0.0
