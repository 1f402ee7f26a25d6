"""The pod template of a Job: one container under Pod Security "restricted", without API token."""

from detnas.plan.dataset import MOUNT
from detnas.schema import Schema
from detnas.spec.affinity import TopologySpread
from detnas.spec.jobs import JobFields, Resources
from detnas_operator.cluster.labels import SEARCH, VERB
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.configuration.storage import CaBundle
from detnas_operator.job.environment import CACHE, environment
from detnas_operator.job.names import CONTAINER, own_labels, users_annotations, users_labels
from detnas_operator.job.order import JobOrder
from detnas_operator.job.policy import amount

DATA_CACHE = "/data-cache"
CERTIFICATES = "/etc/detnas-ca"
LEAST_DISK = "2Gi"
"""Ephemeral storage requested by a pod that names no amount: logs, code, a small data set."""

MAX_TMP_SIZE = "10Gi"
"""Unbounded, one pod could fill its node's disk and have others evicted."""


def pod_template(
    order: JobOrder, fields: JobFields, settings: OperatorSettings, tenant: Tenant
) -> Object:
    """Return ``spec.template`` of a Job.

    Args:
        order: what it is made from.
        fields: what its pods request, under the administrator's policy.
        settings: the administrator's.
        tenant: whose service account and credentials its pods use.
    """
    jobs = order.spec.jobs
    labels = users_labels(fields.pod_labels or {}) | own_labels(order.owner.name, order.job_id)
    metadata: Object = {"labels": labels}
    if annotations := users_annotations(fields.pod_annotations or {}):
        metadata["annotations"] = annotations
    spec: Object = {
        "restartPolicy": "Never",  # required by podFailurePolicy
        "serviceAccountName": tenant.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": jobs.termination_grace_period_seconds,
        "securityContext": _pod_security(settings, tenant),
        "containers": [_container(order, fields, settings, tenant)],
        "volumes": _volumes(order, fields, settings.storage.ca_bundle),
        **_placement(order, fields),
    }
    add_data_cache(spec, order, settings, tenant)
    secrets = dict.fromkeys((*settings.trainer.image_pull_secrets, *jobs.image_pull_secrets))
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    return {"metadata": metadata, "spec": spec}


def add_data_cache(
    pod: Object, order: JobOrder, settings: OperatorSettings, tenant: Tenant
) -> None:
    """Mount the data cache, if there is one and the data set comes from S3."""
    cache = settings.jobs.data_cache if tenant.data_cache is None else tenant.data_cache
    if not (cache.claim or cache.host_path) or order.spec.dataset.source.s3 is None:
        return
    volume: Object = {"persistentVolumeClaim": {"claimName": cache.claim}}
    if cache.host_path:  # the kubelet would create one owned by root
        path = f"{cache.host_path}/{order.owner.namespace}"
        volume = {"hostPath": {"path": path, "type": "Directory"}}
    pod["volumes"].append({"name": "data-cache", **volume})
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": "data-cache", "mountPath": DATA_CACHE})
    container["env"] += [
        {"name": "DETNAS_DATA_CACHE", "value": DATA_CACHE},
        {"name": "DETNAS_DATA_CACHE_BYTES", "value": str(int(amount(cache.size)))},
    ]


def _container(
    order: JobOrder, fields: JobFields, settings: OperatorSettings, tenant: Tenant
) -> Object:
    jobs = order.spec.jobs
    container: Object = {
        "name": CONTAINER,
        "image": order.image,
        "imagePullPolicy": jobs.image_pull_policy or settings.trainer.image_pull_policy,
        "command": ["detnas-trainer", str(order.job_id.verb), order.uri],
        "env": [*environment(order, fields, settings), *_trust(settings.storage.ca_bundle)],
        "resources": _resources(fields, order.gpus),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(order, settings.storage.ca_bundle),
    }
    if tenant.credentials_secret:  # else a workload identity
        container["envFrom"] = [{"secretRef": {"name": tenant.credentials_secret}}]
    return container


def _pod_security(settings: OperatorSettings, tenant: Tenant) -> Object:
    identity = settings.jobs.pod_security_context
    groups = dict.fromkeys((*identity.supplemental_groups, *tenant.supplemental_groups))
    fixed = {
        "runAsUser": identity.run_as_user,
        "runAsGroup": identity.run_as_group,
        "fsGroup": identity.fs_group,
        "supplementalGroups": list(groups) or None,
    }
    return {
        "runAsNonRoot": True,
        **{name: value for name, value in fixed.items() if value is not None},
        # A data set of 100,000 files would otherwise be walked at every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _resources(fields: JobFields, gpus: int) -> Object:
    """Limits equal requests: the pod gets what it requests, and takes nothing from others."""
    requested = fields.resources or Resources()
    amounts = {
        "cpu": requested.cpu,
        "memory": requested.memory,
        "ephemeral-storage": requested.ephemeral_storage,
        **(requested.extended or {}),
        **({str(fields.gpu_resource): str(gpus)} if gpus else {}),
    }
    limits = {name: value for name, value in amounts.items() if value is not None}
    requests = {"ephemeral-storage": LEAST_DISK, **limits}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _volumes(order: JobOrder, fields: JobFields, bundle: CaBundle) -> list[Object]:
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": MAX_TMP_SIZE}},
        {"name": "cache", "emptyDir": {"sizeLimit": fields.cache_size}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": fields.shared_memory}},
    ]
    if bundle.config_map or bundle.secret:
        volumes.append({"name": "ca", **_certificates(bundle)})
    claim = order.spec.dataset.source.persistent_volume_claim
    if claim is not None:
        source = {"claimName": claim.claim_name, "readOnly": True}
        volumes.append({"name": "data", "persistentVolumeClaim": source})
    return volumes


def _certificates(bundle: CaBundle) -> Object:
    items = [{"key": bundle.key, "path": "ca.crt"}]
    if bundle.secret:
        return {"secret": {"secretName": bundle.secret, "items": items}}
    return {"configMap": {"name": bundle.config_map, "items": items}}


def _trust(bundle: CaBundle) -> list[Object]:
    if not (bundle.config_map or bundle.secret):
        return []
    return [{"name": "AWS_CA_BUNDLE", "value": f"{CERTIFICATES}/ca.crt"}]


def _mounts(order: JobOrder, bundle: CaBundle) -> list[Object]:
    mounts: list[Object] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 # in the pod
        {"name": "cache", "mountPath": CACHE},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 # in the pod
    ]
    if bundle.config_map or bundle.secret:
        mounts.append({"name": "ca", "mountPath": CERTIFICATES, "readOnly": True})
    if order.spec.dataset.source.persistent_volume_claim is not None:
        mounts.append({"name": "data", "mountPath": MOUNT, "readOnly": True})
    return mounts


def _placement(order: JobOrder, fields: JobFields) -> Object:
    wanted: Object = {
        "nodeSelector": fields.node_selector,
        "tolerations": [_dumped(toleration) for toleration in fields.tolerations or ()],
        "affinity": _dumped(fields.affinity) if fields.affinity else None,
        "topologySpreadConstraints": [
            _spread(order, constraint) for constraint in fields.topology_spread_constraints or ()
        ],
        "priorityClassName": fields.priority_class_name,
        "runtimeClassName": fields.runtime_class_name,
        "schedulerName": fields.scheduler_name,
    }
    return {field: value for field, value in wanted.items() if value}


def _spread(order: JobOrder, constraint: TopologySpread) -> Object:
    own = own_labels(order.owner.name, order.job_id)
    kin = {"matchLabels": {name: own[name] for name in (SEARCH, VERB)}}
    return {"labelSelector": kin, **_dumped(constraint)}


def _dumped(section: Schema) -> Object:
    """As the API writes it, without fields that are left out."""
    written: Object = section.model_dump(mode="json", by_alias=True, exclude_none=True)
    return written
