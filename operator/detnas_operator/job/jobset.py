"""The JobSet of a job on several workers: one Indexed Job, and the Service by which they meet.

In contrast to a Job and a Service of the operator's own, it is one object: Kueue admits it whole,
and MultiKueue creates it in another cluster and copies its status. No restarts are left to it: its
Job counts attempts, by the same policy as every other Job, and the JobSet ends as the Job does.
"""

from detnas.exit_codes import ExitCode
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import MultiNode, OperatorSettings, Tenant
from detnas_operator.job.manifest import PORT, job_manifest
from detnas_operator.job.names import MAX_NAME_CHARACTERS, own_labels
from detnas_operator.job.order import JobOrder

WORKERS = "w"
"""Name of the replicated job. Short: it becomes a part of pods' host names."""

_RANDOM = 5
"""Characters that the Job controller appends to a pod's name, beside a hyphen."""


def is_jobset_chosen(order: JobOrder, chosen: MultiNode, *, usable: bool) -> bool:
    """Whether a job gets a JobSet.

    Args:
        order: of the job.
        chosen: by the administrator.
        usable: whether JobSets are served, and may be used, in the search's namespace.
    """
    if order.workers == 1 or chosen == "IndexedJob":
        return False
    return chosen == "JobSet" or (usable and _fits(order))


def _fits(order: JobOrder) -> bool:
    """Whether the names of its pods are no longer than JobSet allows."""
    last = f"{order.name}-{WORKERS}-0-{order.workers - 1}"
    return len(last) + 1 + _RANDOM <= MAX_NAME_CHARACTERS


def jobset_manifest(order: JobOrder, settings: OperatorSettings, tenant: Tenant) -> Object:
    """Return the JobSet of a due job, to be created once and never changed but for its TTL."""
    # The JobSet controller names its only Job <name>-w-0, and the Service like the JobSet.
    host = f"{order.name}-{WORKERS}-0-0.{order.name}:{PORT}"
    job = job_manifest(order, settings, tenant, host)
    of_job = dict(job["spec"])
    suspended = {"suspend": of_job.pop("suspend")} if "suspend" in of_job else {}
    template = {
        "metadata": {"labels": own_labels(order.owner.name, order.job_id)},
        "spec": of_job,
    }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": job["metadata"],
        "spec": {
            **suspended,
            "network": {"enableDNSHostnames": True},
            "failurePolicy": _failure_policy(),
            "replicatedJobs": [{"name": WORKERS, "replicas": 1, "template": template}],
        },
    }


def _failure_policy() -> Object:
    """Let the JobSet end with its Job, and state the reason that decisions depend on.

    The condition of a JobSet has no exit code. Its reason distinguishes a rule from restarts that
    are used up: so it states that data has changed also where the Job is in another cluster.
    """
    changed = {
        "name": "dataChanged",
        "action": "FailJobSet",
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": [f"exit code {int(ExitCode.DATA_CHANGED)}( |$)"],
    }
    return {"maxRestarts": 0, "rules": [changed]}
