"""The Jobs of one search in the cluster: seen through the cache, started and ended here."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from detnas.plan.stages import DueJob, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster import (
    AlreadyExists,
    ClusterError,
    KubernetesClient,
    NotFound,
    Refused,
    Unavailable,
)
from detnas_operator.cluster.cache import (
    SETTLED,
    ClusterCache,
    SearchKey,
    owner_uid,
    slim_own_job,
)
from detnas_operator.job.labels import ENDED_PODS, SEARCH, TTL
from detnas_operator.job.names import CONTAINER, purpose_of
from detnas_operator.job_state.ended_pods import with_ended
from detnas_operator.job_state.observed_pods import slim_pod
from detnas_operator.job_state.pods import name as name_of
from detnas_operator.job_state.pods import uid
from detnas_operator.job_state.quota import Exceeded, quota_advice, quota_refusal
from detnas_operator.lookups.pod_lookup import JOBS_A_LIST, MOST_BYTES, MOST_PODS
from detnas_operator.telemetry.logs import about

Object = dict[str, Any]
LOG_LINES = 400
LOG_BYTES = 256 * 1024
STOP_SECONDS = 10
"""That a foreign container has to end once the trainer beside it has."""
_NAMED = 10
_JOB = "batch.kubernetes.io/job-name"
_UID = "batch.kubernetes.io/controller-uid"
_FOREGROUND = "foregroundDeletion"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchJobs:
    """The Jobs that one search owns.

    Attributes:
        client: writes, and reads what is not watched.
        cache: what was last seen.
        key: of the search.
        uid: of its resource, which owns them.
    """

    client: KubernetesClient
    cache: ClusterCache
    key: SearchKey
    uid: str

    def all(self) -> dict[str, Object]:
        """Return them by name, as last seen; one that somebody made by hand is not ours."""
        owned = self.cache.jobs(self.key, self.uid)
        named = {str(job["metadata"]["name"]): job for job in owned}
        return {name: job for name, job in named.items() if purpose_of(name, self.key.name)}

    def live(self) -> dict[str, Object]:
        """Return those that may be running, by name."""
        return {
            name: job
            for name, job in self.all().items()
            if not has_ended(job) and "deletionTimestamp" not in job["metadata"]
        }

    def list_again(self) -> None:
        """Ask the API server for all of them: what the watch may have missed is made good."""
        snapshot = self.client.snapshot("jobs", self.key.namespace, slim=slim_own_job)
        self.cache.replace_jobs(self.key, snapshot)

    def live_pods(self) -> list[Object]:
        """Return pods that have not ended, also of Jobs that are deleted: known by their names.

        Both are set by the Job controller: a policy may have rewritten our own labels.
        """
        fields = "status.phase!=Succeeded,status.phase!=Failed"
        found = self._pods(_JOB, fields)
        own = (pod for pod in found if purpose_of(_job_of(pod), self.key.name))
        return list(map(slim_pod, islice(own, MOST_PODS)))

    def pods_of(self, *names: str) -> list[Object]:
        """Return the pods of some of them, ended ones too."""
        jobs = self.all()
        uids = [str(jobs[name]["metadata"]["uid"]) for name in names if name in jobs]
        found: list[Object] = []
        for first in range(0, len(uids), JOBS_A_LIST):
            selector = f"{_UID} in ({','.join(uids[first : first + JOBS_A_LIST])})"
            found += map(slim_pod, islice(self._pods(selector), MOST_PODS - len(found)))
        return found

    def _pods(self, selector: str, fields: str = "") -> Iterator[Object]:
        namespace = self.key.namespace
        return self.client.list("pods", namespace, selector, fields, most_bytes=MOST_BYTES)

    def start(self, objects: list[Object]) -> Reason | None:
        """Create a Job with what it needs; return why that can not be, for now.

        That it exists already and is ours is success: an earlier answer was lost.
        """
        for body in objects:
            kind = {"Job": "jobs", "Service": "services"}[body["kind"]]
            try:
                created = self.client.create(kind, self.key.namespace, body)
            except AlreadyExists:
                if reason := self._existing(kind, body["metadata"]["name"]):
                    return reason
            except Refused as error:
                return self._refused(body, error)
            else:
                if kind == "jobs":
                    self.cache.put_job(created)
                    log.info("started job %s", body["metadata"]["name"])
        return None

    def delete(self, name: str, why: str) -> None:
        """Delete a Job and its pods; it is not seen any more, unless a finalizer keeps it."""
        job = self.all().get(name)
        if job is None:
            return
        with about_job(job):
            log.info("deleting job %s: %s", name, why)
        kept = self.client.delete("jobs", self.key.namespace, name, uid=str(job["metadata"]["uid"]))
        if kept is None:
            self.cache.drop_job(job)
        else:
            self.cache.put_job(kept)

    def forget(self, name: str) -> None:
        """Drop what was kept of a Job that others deleted after it had failed."""
        job = self.all().get(name)
        if job is not None and self.cache.is_lost(job):
            self.cache.drop_job(job)

    def expire(self, name: str, seconds: int) -> None:
        """Let a Job that has ended be deleted after a while, so that its log can be read.

        Nothing waits for that: what fails is left to a later pass.
        """
        job = self.all().get(name, {"metadata": {"name": name}})
        given = str((job["metadata"].get("annotations") or {}).get(TTL, ""))
        left = int(given) if given.isdecimal() else seconds  # others may have written anything
        body: Object = {
            "metadata": {"annotations": {SETTLED: "true"}},
            "spec": {"ttlSecondsAfterFinished": left},
        }
        try:
            self.cache.put_job(self.client.merge_patch("jobs", self.key.namespace, name, body))
        except NotFound:
            self.list_again()
        except ClusterError as error:
            with about_job(job):
                log.warning("job %s does not expire yet: %s", name, error)

    def postpone_expiry(self, name: str) -> None:
        """Take from a Job that has not ended the time to live that something else gave it.

        Kubernetes would delete it with its pods before anybody has seen how it ended. What it was
        given counts later, when it expires.
        """
        given = self.all()[name]["spec"]["ttlSecondsAfterFinished"]
        log.info(
            "job %s was given a time to live of %s s: not before its result is kept", name, given
        )
        self._patch(name, {TTL: str(given)}, {"ttlSecondsAfterFinished": None})

    def end_pods(self, name: str, ended: Sequence[Object]) -> None:
        """Delete pods that only a foreign container keeps alive; first keep what was seen of them.

        Args:
            name: of their Job.
            ended: the pods.
        """
        job = self.all()[name]
        annotation = with_ended(job, ended, datetime.now(UTC))
        if job["metadata"].get("annotations", {}).get(ENDED_PODS) != annotation:
            self._patch(name, {ENDED_PODS: annotation})
        for pod in ended:
            log.info(
                "deleting pod %s: its trainer has failed, the rest of it runs on", name_of(pod)
            )
            self.client.delete(
                "pods", self.key.namespace, name_of(pod), uid=uid(pod), grace=STOP_SECONDS
            )

    def _patch(self, name: str, annotations: Object, spec: Object | None = None) -> None:
        body: Object = {"metadata": {"annotations": annotations}}
        if spec is not None:
            body["spec"] = spec
        self.cache.put_job(self.client.merge_patch("jobs", self.key.namespace, name, body))

    def log_end(self, pod: Object, container: str = CONTAINER) -> str:
        """Return the end of the log of a pod's container; empty where there is none any more.

        Its node may be gone: the API server is there, and fails to ask it.
        """
        name = name_of(pod)
        try:
            return self.client.pod_log(self.key.namespace, name, container, LOG_LINES, LOG_BYTES)
        except (NotFound, Refused):
            return ""
        except Unavailable as error:
            if not error.status:
                raise
            log.warning("the log of pod %s is not available: %s", name, error)
            return ""

    def _existing(self, kind: str, name: str) -> Reason | None:
        found = self.client.get(kind, self.key.namespace, name)
        if found is None:
            return Reason(ReasonCode.NAME_TAKEN, f"{kind} {name} is being replaced; trying again")
        if "deletionTimestamp" in found["metadata"]:
            return Reason(
                ReasonCode.NAME_TAKEN, f"{kind} {name} is being deleted; {waits_for(found)}"
            )
        owner = owner_uid(found)
        if not owner:
            return self._orphaned(kind, name)
        if owner != self.uid:
            return Reason(
                ReasonCode.NAME_TAKEN,
                f"{kind} {name} belongs to another object, most likely an earlier search of this "
                "name that is being deleted; waiting until it is gone",
            )
        if kind == "jobs":
            self.cache.put_job(found)
        return None

    def _orphaned(self, kind: str, name: str) -> Reason:
        """Say which objects of an earlier search block names, and how to delete them."""
        names = {name}
        if kind == "jobs":
            labelled = self.client.list(kind, self.key.namespace, f"{SEARCH}={self.key.name}")
            names |= {str(one["metadata"]["name"]) for one in labelled if not owner_uid(one)}
        found, more = sorted(names)[:_NAMED], max(0, len(names) - _NAMED)
        said = ", ".join(found) + (f" and {more} more" if more else "")
        command = f"kubectl delete {kind} --namespace {self.key.namespace} {' '.join(found)}"
        return Reason(
            ReasonCode.NAME_TAKEN,
            f"{kind} {said}: this search needs these names, and no search owns the objects, most "
            "likely because one was deleted with --cascade=orphan; nothing deletes them "
            f"automatically: {command}",
        )

    def _refused(self, body: Object, error: Refused) -> Reason:
        """Say why the API server refuses an object; where a quota counts Jobs, make room."""
        what, quota = f"{body['kind']} {body['metadata']['name']}", quota_refusal(str(error))
        if quota is None:
            return Reason(ReasonCode.ADMISSION_REFUSED, f"the API server refuses {what}: {error}")
        advice = quota_advice(quota)
        if isinstance(quota, Exceeded) and quota.counts_jobs and (made := self._make_room()):
            advice = f"Job {made} of this search, which had ended, was deleted to make room"
        exceeded = isinstance(quota, Exceeded)
        reason = ReasonCode.QUOTA_EXCEEDED if exceeded else ReasonCode.ADMISSION_REFUSED
        return Reason(reason, f"the API server refuses {what}: {error}; {advice}")

    def _make_room(self) -> str:
        """Delete the Job that ended first of those whose result is durable; return its name."""
        ended = [
            (str(job["status"].get("completionTime") or job["metadata"]["creationTimestamp"]), name)
            for name, job in self.all().items()
            if expires(job) and "deletionTimestamp" not in job["metadata"]
        ]
        if not ended:
            return ""
        name = min(ended)[1]
        self.delete(name, "a quota counts it, and its result is in the store")
        return name


def purpose(job: Object) -> DueJob:
    """What one of a search's Jobs is for, as its name says; labels may have been rewritten."""
    owner = next(one for one in job["metadata"]["ownerReferences"] if one.get("controller"))
    due = purpose_of(job["metadata"]["name"], owner["name"])
    assert due is not None  # or it would not be among the search's Jobs
    return due


def expires(job: Object) -> bool:
    """Whether a Job has ended and may go: it gets a time to live once its result is durable."""
    return has_ended(job) and job["spec"].get("ttlSecondsAfterFinished") is not None


def foreign_finalizers(body: Object) -> list[str]:
    """Return the finalizers for which a deleted object waits though its pods have stopped."""
    return [one for one in body["metadata"].get("finalizers") or () if one != _FOREGROUND]


def waits_for(body: Object) -> str:
    """Say what an object that is being deleted waits for."""
    if foreign := foreign_finalizers(body):
        return (
            f"it waits for the finalizer {', '.join(foreign)}: whoever set it removes it; if that "
            "controller is gone, remove it with kubectl edit"
        )
    if body["metadata"].get("finalizers"):
        return f"it waits until its pods have stopped ({_FOREGROUND})"
    return "waiting until it is gone"


def trial_of(due: DueJob) -> int | None:
    """Number of the trial that a job is for, to name it in log lines."""
    return due.number if due.verb is Verb.EVALUATE else None


def about_job(job: Object) -> AbstractContextManager[None]:
    """Let lines that are logged in a block say which Job, and which trial, they are about."""
    name, has_owner = job["metadata"]["name"], bool(owner_uid(job))
    return about(job=name, trial=trial_of(purpose(job)) if has_owner else None)


def has_ended(job: Object) -> bool:
    """Whether a Job is over, with or without success."""
    return any(
        condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
        for condition in job.get("status", {}).get("conditions", ())
    )


def _job_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(_JOB, ""))
