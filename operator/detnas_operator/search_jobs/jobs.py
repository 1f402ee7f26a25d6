"""The Jobs of one search in the cluster: read through the cache, changed and deleted here."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas_operator.cluster import (
    ClusterError,
    KubernetesClient,
    NotFound,
    Refused,
    Unavailable,
)
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.job_lists import list_jobs
from detnas_operator.cluster.labels import ENDED_PODS, SETTLED, TTL
from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import MAX_ANSWER_BYTES, MAX_PODS, PodView, pod_selectors
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.cluster.slimming import slim_pod
from detnas_operator.job.names import CONTAINER, parse_job_name
from detnas_operator.job_state.ended_pods import ended_pods_annotation
from detnas_operator.search_jobs.api_errors import ApiErrors
from detnas_operator.telemetry.logs import about

LOG_LINES = 400
LOG_BYTES = 256 * 1024
STOP_SECONDS = 10
"""Seconds that a foreign container has to end after the trainer."""
_JOB = "batch.kubernetes.io/job-name"
_JOBSET = "jobset.sigs.k8s.io/jobset-name"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchJobs:
    """The Jobs that one search owns.

    Attributes:
        client: writes, and reads what is not watched.
        cache: what was last observed.
        key: of the search.
        uid: of its resource, which owns them.
        api_errors: of this pass, which continues after them.
    """

    client: KubernetesClient
    cache: ClusterCache
    key: SearchKey
    uid: str
    api_errors: ApiErrors = field(default_factory=ApiErrors)

    def all(self) -> dict[str, JobView]:
        """Return its Jobs by name, as last observed, without any that the operator did not name."""
        owned = self.cache.jobs(self.key, self.uid)
        return {name: job for name, job in owned.items() if parse_job_name(name, self.key.name)}

    def live(self) -> dict[str, JobView]:
        """Return the Jobs that may be running, by name."""
        return {
            name: job
            for name, job in self.all().items()
            if not job.has_ended and not job.is_being_deleted
        }

    def list_again(self) -> None:
        """List all Jobs into the cache, which includes what the watch may have missed."""
        namespace = self.key.namespace
        usable = not self.cache.jobsets_problem(namespace)
        lists = list_jobs(self.client, namespace, jobsets=usable)
        self.cache.replace_jobs(self.key, lists.together)

    def live_pods(self) -> list[PodView]:
        """Return pods that have not ended, also of deleted Jobs, which are known by name.

        Controllers set the labels with the Job's or JobSet's name; a policy may have rewritten our
        own.
        """
        fields = "status.phase!=Succeeded,status.phase!=Failed"
        pods = map(PodView, self._pods(_JOB, fields))
        own = (pod for pod in pods if parse_job_name(_job_of(pod), self.key.name))
        return list(map(slim_pod, islice(own, MAX_PODS)))

    def pods_of(self, *names: str) -> list[PodView]:
        """Return the pods of these Jobs, ended ones too."""
        jobs = self.all()
        uids = [jobs[name].pods_owner for name in names if name in jobs]
        pods: list[PodView] = []
        for selector in pod_selectors(uids):
            listed = islice(self._pods(selector), MAX_PODS - len(pods))
            pods += map(slim_pod, map(PodView, listed))
        return pods

    def _pods(self, selector: str, fields: str = "") -> Iterator[Object]:
        namespace = self.key.namespace
        return self.client.list("pods", namespace, selector, fields, max_bytes=MAX_ANSWER_BYTES)

    def delete(self, name: str, why: str) -> None:
        """Delete a Job and its pods; it leaves the cache, unless a finalizer keeps it."""
        job = self.all().get(name)
        if job is None:
            return
        with about_job(job):
            log.info("deleting %s: %s", job.title, why)
        kept = self.client.delete(job.plural, self.key.namespace, name, uid=job.uid)
        if kept is None:
            self.cache.drop_job(job.body)
        else:
            self.cache.put_job(kept)

    def drop(self, name: str) -> None:
        """Drop from the cache a Job that others deleted after it had failed."""
        job = self.all().get(name)
        if job is not None and self.cache.is_retained(job):
            self.cache.drop_job(job.body)

    def expire(self, name: str, seconds: int) -> None:
        """Set the time to live of a Job that has ended, until which its log can be read.

        A failure is only logged: a later pass tries again.
        """
        job = self.all().get(name)
        if job is None:  # it has been deleted since it was observed, or another has its name
            return
        earlier = str(job.annotations.get(TTL, ""))
        left = int(earlier) if earlier.isdecimal() else seconds  # others may have written anything
        body: Object = {
            "metadata": {"uid": job.uid, "annotations": {SETTLED: "true"}},
            "spec": {"ttlSecondsAfterFinished": left},
        }
        try:
            patched = self.client.merge_patch(job.plural, self.key.namespace, name, body)
            self.cache.put_job(patched)
        except NotFound:
            self.list_again()
        except ClusterError as error:
            with about_job(job):
                log.warning("%s does not expire yet: %s", job.title, error)

    def postpone_expiry(self, name: str) -> None:
        """Remove the time to live that something else gave a Job before it ended.

        Kubernetes would delete it with its pods before its end is observed. The value is used
        later, when it may expire.
        """
        job = self.all()[name]
        seconds = job.ttl_seconds
        log.info(
            "%s has a time to live of %s s: postponed until its result is stored",
            job.title,
            seconds,
        )
        self._patch(name, {TTL: str(seconds)}, {"ttlSecondsAfterFinished": None})

    def end_pods(self, name: str, ended: Sequence[PodView]) -> None:
        """Record, and then delete, a Job's pods that only a foreign container keeps alive."""
        job = self.all()[name]
        annotation = ended_pods_annotation(job, ended, datetime.now(UTC))
        if job.annotations.get(ENDED_PODS) != annotation:
            self._patch(name, {ENDED_PODS: annotation})
        for pod in ended:
            log.info(
                "deleting pod %s: its trainer has failed, other containers still run", pod.name
            )
            self.client.delete(
                "pods", self.key.namespace, pod.name, uid=pod.uid, grace=STOP_SECONDS
            )

    def _patch(self, name: str, annotations: Object, spec: Object | None = None) -> None:
        job = self.all()[name]
        body: Object = {"metadata": {"uid": job.uid, "annotations": annotations}}
        if spec is not None:
            body["spec"] = spec
        self.cache.put_job(self.client.merge_patch(job.plural, self.key.namespace, name, body))

    def log_end(self, pod: PodView, container: str = CONTAINER) -> str:
        """Return the end of the log of a pod's container; empty if it is gone.

        Its node may be gone: then the API server answers that it cannot read it.
        """
        name = pod.name
        try:
            return self.client.pod_log(self.key.namespace, name, container, LOG_LINES, LOG_BYTES)
        except (NotFound, Refused):
            return ""
        except Unavailable as error:
            if not error.status:
                raise
            log.warning("the log of pod %s is not available: %s", name, error)
            return ""


def job_id_of(job: JobView) -> JobId:
    """Return which job one of a search's Jobs runs, by its name; labels may have been rewritten."""
    job_id = parse_job_name(job.name, job.controller["name"])
    assert job_id is not None  # or it would not be among the search's Jobs
    return job_id


def trains_pool(jobs: SearchJobs) -> bool:
    """Whether a search may be training its pool: one of its Jobs for it has not ended.

    One that is being deleted counts until it is gone: its pods may not have stopped.
    """
    named = jobs.all().values()
    return any(job_id_of(job).verb is Verb.POOL and not job.has_ended for job in named)


def is_expiring(job: JobView) -> bool:
    """Whether a Job has ended and has a time to live, which it gets once its result is stored."""
    return job.has_ended and job.ttl_seconds is not None


def trial_of(job_id: JobId) -> int | None:
    """Number of the trial that a job is for, to name it in log lines."""
    return job_id.number if job_id.verb.is_trial else None


def about_job(job: JobView) -> AbstractContextManager[None]:
    """Let log lines in a block name the Job, and the trial, that they are about."""
    name, has_owner = job.name, bool(job.controller_uid)
    return about(job=name, trial=trial_of(job_id_of(job)) if has_owner else None)


def _job_of(pod: PodView) -> str:
    return str(pod.labels.get(_JOBSET) or pod.labels.get(_JOB, ""))
