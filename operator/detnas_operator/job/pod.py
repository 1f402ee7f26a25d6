"""The pod template of a Job: one container under Pod Security "restricted", without API token."""

from typing import Any

from detnas.plan.data_root import MOUNT
from detnas.spec.jobs import Jobs, Resources
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.environment import CACHE, credentials, environment
from detnas_operator.job.labels import own_labels, users_annotations, users_labels
from detnas_operator.job.names import CONTAINER
from detnas_operator.job.order import JobOrder

Object = dict[str, Any]

USER = 65532
"""Has no entry on any node; images of the project run as the same."""


def pod_template(order: JobOrder, settings: OperatorSettings, tenant: Tenant) -> Object:
    """Return ``spec.template`` of a Job."""
    jobs = order.spec.jobs
    labels = users_labels(jobs.pod_labels) | own_labels(order.owner.name, order.due)
    metadata: Object = {"labels": labels}
    if annotations := users_annotations(jobs.pod_annotations):
        metadata["annotations"] = annotations
    spec: Object = {
        "restartPolicy": "Never",  # podFailurePolicy asks for it
        "serviceAccountName": tenant.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": jobs.termination_grace_period_seconds,
        "securityContext": _pod_security(),
        "containers": [_container(order, settings, tenant)],
        "volumes": _volumes(order),
        **_placement(jobs),
    }
    secrets = dict.fromkeys((*settings.trainer.image_pull_secrets, *jobs.image_pull_secrets))
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    return {"metadata": metadata, "spec": spec}


def _container(order: JobOrder, settings: OperatorSettings, tenant: Tenant) -> Object:
    jobs = order.spec.jobs
    container: Object = {
        "name": CONTAINER,
        "image": order.image,
        "imagePullPolicy": jobs.image_pull_policy or settings.trainer.image_pull_policy,
        "command": ["detnas-trainer", str(order.due.verb), order.uri],
        "env": environment(order, settings),
        "resources": _resources(jobs.resources, order.gpus, settings.jobs.gpu_resource),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(order),
    }
    if sources := credentials(tenant):
        container["envFrom"] = sources
    return container


def _pod_security() -> Object:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        # A data set of 100,000 files would otherwise be walked at every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _resources(asked: Resources, gpus: int, gpu_resource: str) -> Object:
    """Limits are the requests: the pod gets what it asks for, and no other suffers from it."""
    amounts = {
        "cpu": asked.cpu,
        "memory": asked.memory,
        "ephemeral-storage": asked.ephemeral_storage,
        gpu_resource: str(gpus) if gpus else None,
    }
    given = {name: amount for name, amount in amounts.items() if amount is not None}
    return {"requests": given, "limits": dict(given)} if given else {}


def _volumes(order: JobOrder) -> list[Object]:
    jobs = order.spec.jobs
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "cache", "emptyDir": {"sizeLimit": jobs.cache_size}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": jobs.shared_memory}},
    ]
    claim = order.spec.dataset.source.persistent_volume_claim
    if claim is not None:
        source = {"claimName": claim.claim_name, "readOnly": True}
        volumes.append({"name": "data", "persistentVolumeClaim": source})
    return volumes


def _mounts(order: JobOrder) -> list[Object]:
    mounts: list[Object] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 # in the pod
        {"name": "cache", "mountPath": CACHE},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 # in the pod
    ]
    if order.spec.dataset.source.persistent_volume_claim is not None:
        mounts.append({"name": "data", "mountPath": MOUNT, "readOnly": True})
    return mounts


def _placement(jobs: Jobs) -> Object:
    tolerations = [
        one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in jobs.tolerations
    ]
    wanted: Object = {
        "nodeSelector": jobs.node_selector,
        "tolerations": tolerations,
        "priorityClassName": jobs.priority_class_name,
        "runtimeClassName": jobs.runtime_class_name,
    }
    return {field: value for field, value in wanted.items() if value}
