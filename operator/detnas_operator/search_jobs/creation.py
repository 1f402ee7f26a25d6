"""Creates a search's Jobs, explains why that fails, and restores labels that others changed.

The operator itself finds Jobs by owner and name. But people, policies and dashboards select Jobs by
these labels.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster import AlreadyExists, NotFound, Refused
from detnas_operator.cluster.labels import SEARCH
from detnas_operator.cluster.objects import JobView, Object, ObjectView
from detnas_operator.job.names import own_labels
from detnas_operator.job_state.quota import Exceeded, quota_advice, quota_refusal
from detnas_operator.search_jobs.jobs import SearchJobs, is_expiring, job_id_of

log = logging.getLogger(__name__)

_MAX_NAMED = 10
_OURS = "detnas.dev/"
"""A policy may have reasons to rewrite labels with other prefixes: that is only logged."""


def create_job(jobs: SearchJobs, objects: list[Object]) -> Reason | None:
    """Create a Job and the objects that it needs; return why that failed, if it did.

    An existing object that this search owns is success: an earlier answer was lost.
    """
    for body in objects:
        kind = {"Job": "jobs", "Service": "services"}[body["kind"]]
        try:
            created = jobs.client.create(kind, jobs.key.namespace, body)
        except AlreadyExists:
            if reason := _existing(jobs, kind, JobView(body).name):
                return reason
        except Refused as error:
            return _refused(jobs, body, error)
        else:
            if kind == "jobs":
                jobs.cache.put_job(created)
                log.info("started job %s", JobView(body).name)
    return None


def _existing(jobs: SearchJobs, kind: str, name: str) -> Reason | None:
    body = jobs.client.get(kind, jobs.key.namespace, name)
    if body is None:
        return Reason(ReasonCode.NAME_TAKEN, f"{kind} {name} is being replaced; trying again")
    existing = ObjectView(body)
    if existing.is_being_deleted:
        return Reason(
            ReasonCode.NAME_TAKEN, f"{kind} {name} is being deleted; {existing.deletion_wait}"
        )
    owner = existing.controller_uid
    if not owner:
        return _orphaned(jobs, kind, name)
    if owner != jobs.uid:
        return Reason(
            ReasonCode.NAME_TAKEN,
            f"{kind} {name} belongs to another object, most likely an earlier search of this "
            "name that is being deleted; waiting until it is gone",
        )
    if kind == "jobs":
        jobs.cache.put_job(body)
    return None


def _orphaned(jobs: SearchJobs, kind: str, name: str) -> Reason:
    """Return which objects of an earlier search block names, and how to delete them."""
    names = {name}
    if kind == "jobs":
        labelled = jobs.client.list(kind, jobs.key.namespace, f"{SEARCH}={jobs.key.name}")
        names |= {body.name for body in map(ObjectView, labelled) if not body.controller_uid}
    shown, more = sorted(names)[:_MAX_NAMED], max(0, len(names) - _MAX_NAMED)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    command = f"kubectl delete {kind} --namespace {jobs.key.namespace} {' '.join(shown)}"
    return Reason(
        ReasonCode.NAME_TAKEN,
        f"{kind} {listed}: this search needs these names, and no search owns the objects, most "
        "likely because one was deleted with --cascade=orphan; nothing deletes them "
        f"automatically: {command}",
    )


def _refused(jobs: SearchJobs, body: Object, error: Refused) -> Reason:
    """Return why the API server refuses an object; if a quota counts Jobs, make room."""
    what, quota = f"{body['kind']} {body['metadata']['name']}", quota_refusal(str(error))
    if quota is None:
        return Reason(ReasonCode.ADMISSION_REFUSED, f"the API server refuses {what}: {error}")
    advice = quota_advice(quota)
    if isinstance(quota, Exceeded) and quota.counts_jobs and (deleted := _make_room(jobs)):
        advice = f"Job {deleted} of this search, which had ended, was deleted to make room"
    exceeded = isinstance(quota, Exceeded)
    reason = ReasonCode.QUOTA_EXCEEDED if exceeded else ReasonCode.ADMISSION_REFUSED
    return Reason(reason, f"the API server refuses {what}: {error}; {advice}")


def _make_room(jobs: SearchJobs) -> str:
    """Delete the Job that ended first of those whose result is durable; return its name."""
    ended = {
        name: job.completed or job.created or datetime.max.replace(tzinfo=UTC)
        for name, job in jobs.all().items()
        if is_expiring(job) and not job.is_being_deleted
    }
    if not ended:
        return ""
    name = min(ended, key=lambda name: (ended[name], name))
    jobs.delete(name, "a quota counts it, and its result is in the store")
    return name


@dataclass
class OwnLabels:
    """The labels of one search's Jobs.

    Attributes:
        restored: UIDs of Jobs whose labels were restored once.
    """

    restored: set[str] = field(default_factory=set)

    def restore(self, jobs: SearchJobs) -> list[Reason]:
        """Restore the labels of running Jobs once; return those that do not stay."""
        reasons = []
        for name, job in jobs.live().items():
            changed = _changed_labels(job, jobs.key.name)
            uid = job.uid
            if changed and uid not in self.restored:
                left = jobs.api_errors.attempt(_restore, jobs, name, changed)
                if left is not None:
                    changed = left
                    self.restored.add(uid)
                    for label in changed:
                        log.warning("label %s of job %s cannot be restored", label, name)
            ours = [label for label in changed if label.startswith(_OURS)]
            if ours and uid in self.restored:
                reasons.append(_labels_changed(name, ours))
        return reasons


def _restore(jobs: SearchJobs, name: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Patch the labels; return those that the Job still lacks."""
    patch = {"metadata": {"labels": dict(labels)}}
    try:
        body = jobs.client.merge_patch("jobs", jobs.key.namespace, name, patch)
    except Refused as error:
        log.warning("the labels of job %s cannot be restored: %s", name, error)
        return dict(labels)
    except NotFound:
        return {}
    jobs.cache.put_job(body)
    left = _changed_labels(JobView(body), jobs.key.name)
    log.info("restored labels of job %s: %s", name, ", ".join(labels.keys() - left.keys()))
    return left


def _changed_labels(job: JobView, search: str) -> dict[str, str]:
    """Return the labels of a search's Job that are missing or have another value."""
    labels = job.labels
    own = own_labels(search, job_id_of(job))
    return {label: value for label, value in own.items() if labels.get(label) != value}


def _labels_changed(job: str, labels: list[str]) -> Reason:
    return Reason(
        ReasonCode.LABELS_CHANGED,
        f"label {', '.join(labels)} of job {job} was changed, and the value that the operator "
        "restores does not stay; the search continues, but whatever selects Jobs by it misses this "
        "one; exempt the Job from the policy or controller that changes it",
    )
