"""The Jobs of one search in the cluster: seen through the cache, started and ended here."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from detnas.plan.stages import DueJob, Verb
from detnas_operator.cluster import (
    AlreadyExists,
    ClusterError,
    KubernetesClient,
    NotFound,
    Refused,
    Unavailable,
)
from detnas_operator.cluster.cache import SEARCH_LABEL, ClusterCache, SearchKey, owner_uid
from detnas_operator.job.ended_pods import with_ended
from detnas_operator.job.labels import ENDED_PODS, NUMBER, TTL, VERB
from detnas_operator.job.names import CONTAINER
from detnas_operator.job.pods import name as name_of
from detnas_operator.job.pods import uid
from detnas_operator.status.findings import Reason
from detnas_operator.telemetry.logs import about

Object = dict[str, Any]
MOST_PODS = 2000
"""Pods that are looked at: whoever may make pods could make any number with our labels."""
LOG_LINES = 400
LOG_BYTES = 256 * 1024
STOP_SECONDS = 10
"""That a foreign container has to end once the trainer beside it has."""

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
        """Return them by name, as last seen."""
        return {job["metadata"]["name"]: job for job in self.cache.jobs(self.key, self.uid)}

    def live(self) -> dict[str, Object]:
        """Return those that may be running, by name."""
        return {
            name: job
            for name, job in self.all().items()
            if not has_ended(job) and "deletionTimestamp" not in job["metadata"]
        }

    def list_again(self) -> None:
        """Ask the API server for all of them: what the watch may have missed is made good."""
        snapshot = self.client.snapshot("jobs", self.key.namespace, self._selector)
        self.cache.replace_jobs(self.key, snapshot)

    def live_pods(self) -> list[Object]:
        """Return the pods of all of them, less those that succeeded: they have no more to say."""
        fields = "status.phase!=Succeeded"
        found = self.client.list("pods", self.key.namespace, self._selector, fields)
        return list(islice(found, MOST_PODS))

    def pods_of(self, *names: str) -> list[Object]:
        """Return the pods of some of them, ended ones too."""
        if not names:
            return []
        selector = f"{self._selector},batch.kubernetes.io/job-name in ({','.join(names)})"
        return list(islice(self.client.list("pods", self.key.namespace, selector), MOST_PODS))

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
                return _refusal(body, error)
            else:
                if kind == "jobs":
                    self.cache.put_job(created)
                    log.info("started job %s", body["metadata"]["name"])
        return None

    def delete(self, name: str, why: str) -> None:
        """Delete a Job and its pods; it is not seen any more, as if its deletion had been."""
        job = self.all().get(name)
        if job is None:
            return
        with about_job(job):
            log.info("deleting job %s: %s", name, why)
        self.client.delete("jobs", self.key.namespace, name, uid=job["metadata"]["uid"])
        self.cache.drop_job(job)

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
        seconds = int((job["metadata"].get("annotations") or {}).get(TTL, seconds))
        body = {"spec": {"ttlSecondsAfterFinished": seconds}}
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

    @property
    def _selector(self) -> str:
        return f"{SEARCH_LABEL}={self.key.name}"

    def _existing(self, kind: str, name: str) -> Reason | None:
        found = self.client.get(kind, self.key.namespace, name)
        if found is None:
            return Reason("NameTaken", f"{kind} {name} is being replaced; trying again")
        if owner_uid(found) != self.uid:
            return Reason(
                "NameTaken",
                f"{kind} {name} belongs to another object, most likely an earlier search of this "
                "name that is being deleted; waiting until it is gone",
            )
        if "deletionTimestamp" in found["metadata"]:
            return Reason("NameTaken", f"{kind} {name} is being deleted; waiting until it is gone")
        if kind == "jobs":
            self.cache.put_job(found)
        return None


def purpose(job: Object) -> DueJob:
    """What a Job is for, as its labels say."""
    labels = job["metadata"]["labels"]
    return DueJob(Verb(labels[VERB]), int(labels[NUMBER]))


def trial_of(due: DueJob) -> int | None:
    """Number of the trial that a job is for, to name it in log lines."""
    return due.number if due.verb is Verb.EVALUATE else None


def about_job(job: Object) -> AbstractContextManager[None]:
    """Let lines that are logged in a block say which Job, and which trial, they are about."""
    labels = job["metadata"].get("labels") or {}  # which a user may have changed
    number = str(labels.get(NUMBER, ""))
    is_trial = labels.get(VERB) == Verb.EVALUATE and number.isdecimal()
    return about(job=job["metadata"]["name"], trial=int(number) if is_trial else None)


def has_ended(job: Object) -> bool:
    """Whether a Job is over, with or without success."""
    return any(
        condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
        for condition in job.get("status", {}).get("conditions", ())
    )


def _refusal(body: Object, error: Refused) -> Reason:
    what = f"{body['kind']} {body['metadata']['name']}"
    quota = "exceeded quota" in str(error)
    reason = "QuotaExceeded" if quota else "AdmissionRefused"
    return Reason(reason, f"the API server refuses {what}: {error}")
