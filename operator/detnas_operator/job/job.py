"""The objects that run a due job: a batch/v1 Job, and a Service where workers must meet."""

from typing import Any

from detnas.spec.manifest import API_VERSION, KIND
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.indexed import as_workers, pool_service
from detnas_operator.job.labels import FOLDER, own_labels, queue_labels
from detnas_operator.job.names import CONTAINER
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.job.pod import pod_template
from detnas_operator.job.policy import job_fields
from detnas_operator.job_state.exits import DATA_CHANGED, INVALID, OUT_OF_MEMORY, RESUME, USAGE

Object = dict[str, Any]


def job_manifest(order: JobOrder, settings: OperatorSettings, tenant: Tenant) -> Object:
    """Return the Job of a due job, to be created once and never changed but for its TTL.

    No TTL is set: the Job must stay until its result is durable. What its pods ask for follows
    from the search and from the policy of its namespace as they are now.
    """
    rules = settings.rules(order.owner.namespace)
    fields = job_fields(order.spec.jobs, order.due.verb, rules)
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(order),
        "spec": {
            "backoffLimit": order.spec.limits.retries,
            "podFailurePolicy": _failure_policy(),
            # Two pods of one job would spend GPUs on the same attempt.
            "podReplacementPolicy": "Failed",
            "template": pod_template(order, fields, settings, tenant),
        },
    }
    if order.deadline is not None:
        job["spec"]["activeDeadlineSeconds"] = order.deadline
    job["metadata"]["labels"] |= queue_labels(fields)
    if fields.queue_name:
        job["spec"]["suspend"] = True  # until Kueue admits it
    return as_workers(job, order) if order.workers > 1 else job


def service_manifest(order: JobOrder) -> Object | None:
    """Return the Service that must be there before the Job; none where one pod does it all."""
    if order.workers == 1:
        return None
    return pool_service(order, owner_reference(order.owner))


def owner_reference(owner: Owner) -> Object:
    """Return the reference by which an object goes when its search goes."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _metadata(order: JobOrder) -> Object:
    return {
        "name": order.name,
        "namespace": order.owner.namespace,
        "labels": own_labels(order.owner.name, order.due),
        "annotations": {FOLDER: order.folder},
        "ownerReferences": [owner_reference(order.owner)],
    }


def _failure_policy() -> Object:
    """The first rule that fits rules; what fits none counts towards ``backoffLimit``."""
    return {
        "rules": [
            {
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
            _on_exit("Ignore", RESUME),
            _on_exit("FailJob", USAGE, INVALID, OUT_OF_MEMORY, DATA_CHANGED),
        ]
    }


def _on_exit(action: str, *codes: int) -> Object:
    codes_in = {"containerName": CONTAINER, "operator": "In", "values": list(codes)}
    return {"action": action, "onExitCodes": codes_in}
