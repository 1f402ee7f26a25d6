"""Creates a search's Jobs, and explains why that fails."""

import logging
from datetime import UTC, datetime

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster import AlreadyExists, NotFound, Refused
from detnas_operator.cluster.job_lists import KINDS_OF_JOBS, NOT_SERVED
from detnas_operator.cluster.labels import SEARCH
from detnas_operator.cluster.objects import JobView, Object, ObjectView
from detnas_operator.job_state.quota import Exceeded, quota_advice, quota_refusal
from detnas_operator.search_jobs.jobs import SearchJobs, is_expiring

log = logging.getLogger(__name__)

_PLURALS = {"Job": "jobs", "JobSet": "jobsets", "Service": "services"}
_MAX_NAMED = 10
"""Objects that a message names."""


def create_job(jobs: SearchJobs, objects: list[Object]) -> Reason | None:
    """Create a Job and the objects that it needs; return why that failed, if it did.

    An existing object that this search owns is success: an earlier answer was lost.
    """
    for body in objects:
        kind = _PLURALS[body["kind"]]
        try:
            created = jobs.client.create(kind, jobs.key.namespace, body)
        except AlreadyExists:
            if reason := _existing(jobs, kind, body):
                return reason
        except Refused as error:
            return _refused(jobs, body, error)
        except NotFound as error:
            if kind != "jobsets" or error.reason == "NotFound":  # the namespace is gone
                raise
            jobs.cache.note_jobsets_gone(jobs.key.namespace, NOT_SERVED)
            return Reason(ReasonCode.CLUSTER_REFUSED, f"{NOT_SERVED} any more; trying again")
        else:
            if kind in KINDS_OF_JOBS:
                jobs.cache.put_job(created)
                log.info("started %s %s", body["kind"], JobView(body).name)
    return None


def _existing(jobs: SearchJobs, kind: str, wanted: Object) -> Reason | None:
    """Return why the object that has the name is not the wanted one; None if it is."""
    name = ObjectView(wanted).name
    what = f"{wanted['kind']} {name}"
    body = jobs.client.get(kind, jobs.key.namespace, name)
    if body is None:
        return Reason(ReasonCode.NAME_TAKEN, f"{what} is being replaced; trying again")
    existing = ObjectView(body)
    if existing.is_being_deleted:
        message = f"{what} is being deleted; {existing.deletion_wait}"
        return Reason(ReasonCode.NAME_TAKEN, message)
    owner = existing.controller_uid
    if not owner:
        return _orphaned(jobs, kind, name)
    if owner != jobs.uid:
        return Reason(
            ReasonCode.NAME_TAKEN,
            f"{what} belongs to another object, most likely an earlier search of this "
            "name that is being deleted; waiting until it is gone",
        )
    if kind in KINDS_OF_JOBS:
        jobs.cache.put_job(body)
    return None


def _orphaned(jobs: SearchJobs, kind: str, name: str) -> Reason:
    """Return which objects of an earlier search block names, and how to delete them."""
    names = {name}
    if kind in KINDS_OF_JOBS:
        labelled = jobs.client.list(kind, jobs.key.namespace, f"{SEARCH}={jobs.key.name}")
        names |= {body.name for body in map(ObjectView, labelled) if not body.controller_uid}
    shown, more = sorted(names)[:_MAX_NAMED], max(0, len(names) - _MAX_NAMED)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    command = f"kubectl delete {kind} --namespace {jobs.key.namespace} {' '.join(shown)}"
    return Reason(
        ReasonCode.NAME_TAKEN,
        f"{kind.capitalize()} that no search owns have names that this search needs: {listed}; "
        "most likely a search was deleted with --cascade=orphan; nothing deletes them "
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
