"""JobSets of a search, read as if they were Jobs: one API object for a job on several nodes.

A JobSet of ours has one Job, and ends as that one does. The JobSet's own status decides: with
MultiKueue it is copied from another cluster, where its Job and pods are. If its Job is in this
cluster, that explains more: counters of pods, and why it failed.
"""

from typing import Any

from detnas_operator.cluster.kinds import JOBSET
from detnas_operator.cluster.labels import MANAGED_BY, MANAGER
from detnas_operator.cluster.objects import JobView, Object

KIND = "JobSet"

_ANNOUNCEMENTS = ("FailureTarget", "SuccessCriteriaMet")
"""Conditions of a Job that is about to end."""


def is_jobset(body: Object) -> bool:
    """Whether an object is a JobSet, as the API writes it or as `as_job` returns it."""
    return body.get("kind") == KIND


def jobset_of(job: JobView) -> str:
    """Return the UID of the JobSet whose Job this is, if that is one of ours; else empty."""
    owner = job.controller
    is_child = owner.get("kind") == KIND and str(owner.get("apiVersion")).startswith(f"{JOBSET}/")
    return job.controller_uid if is_child and job.labels.get(MANAGED_BY) == MANAGER else ""


def as_job(body: Object) -> Object:
    """Return a JobSet with spec and status as a Job has them; its kind distinguishes it."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    if "replicatedJobs" not in spec:
        return body  # it was read as one before
    of_job = _only(spec["replicatedJobs"]).get("template", {}).get("spec") or {}
    fields = {
        **{name: spec.get(name) for name in ("suspend", "ttlSecondsAfterFinished", "managedBy")},
        **{name: of_job.get(name) for name in ("parallelism", "activeDeadlineSeconds")},
    }
    return {
        "kind": KIND,
        "metadata": body["metadata"],
        "spec": _given(fields),
        "status": _given(_status(body, status, int(of_job.get("parallelism") or 1))),
    }


def with_child(jobset: JobView, child: JobView) -> JobView:
    """Return a JobSet, read as a Job, with what its Job in this cluster adds.

    Whether it has ended, and whether it is suspended, only the JobSet itself decides.
    """
    own = [condition.body for condition in _conditions(jobset)]
    failed = child.true_condition("Failed")
    if failed is not None:  # it names pod and exit code
        why = {"reason": failed.reason, "message": failed.message}
        own = [{**one, **why} if one["type"] == "Failed" else one for one in own]
    if not jobset.has_ended:
        own += [one.body for one in _conditions(child) if one.body["type"] in _ANNOUNCEMENTS]
    completed = jobset.status.get("completionTime")
    counters = {**child.status, "completionTime": completed, "conditions": own}
    version = str(max(jobset.version, child.version))
    return JobView(
        {
            **jobset.body,
            "metadata": {**jobset.body["metadata"], "resourceVersion": version},
            "status": _given(counters),
            "child": {"name": child.name, "uid": child.uid},
        }
    )


def _status(body: Object, status: Object, pods: int) -> Object:
    of_job = _only(status.get("replicatedJobsStatus") or ())
    conditions = [
        {**one, "type": "Complete"} if one.get("type") == "Completed" else one
        for one in status.get("conditions") or ()
    ]
    return {
        "conditions": conditions or None,
        "startTime": _started(body, conditions),
        "completionTime": _changed(conditions, "Complete", "True"),
        # It counts Jobs, and ours are ready if all of their pods are.
        "active": pods if of_job.get("active") else None,
        "ready": pods if of_job.get("ready") else None,
    }


def _started(body: Object, conditions: list[Object]) -> str | None:
    if (body.get("spec") or {}).get("suspend"):
        return None
    resumed = _changed(conditions, "Suspended", "False")
    return resumed or body["metadata"].get("creationTimestamp")


def _changed(conditions: list[Object], kind: str, status: str) -> str | None:
    for condition in conditions:
        if (condition.get("type"), condition.get("status")) == (kind, status):
            return condition.get("lastTransitionTime")
    return None


def _conditions(job: JobView) -> Any:
    kinds = [one["type"] for one in job.status.get("conditions") or ()]
    return filter(None, map(job.condition, kinds))


def _only(entries: Any) -> Object:
    """A JobSet of ours has one entry; others may have written any number."""
    return dict(entries[0]) if entries else {}


def _given(fields: Object) -> Object:
    return {name: value for name, value in fields.items() if value is not None}
