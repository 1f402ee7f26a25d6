"""The part of a pod that lets copies of data sets outlive it: the administrator's choice alone."""

from typing import Any

from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.order import JobOrder
from detnas_operator.job.policy import amount

Object = dict[str, Any]
MOUNT = "/data-cache"
_VOLUME = "data-cache"


def add_data_cache(
    pod: Object, order: JobOrder, settings: OperatorSettings, tenant: Tenant
) -> None:
    """Give a pod's container the cache, if there is one and its data set comes from S3."""
    cache = settings.jobs.data_cache if tenant.data_cache is None else tenant.data_cache
    if not (cache.claim or cache.host_path) or order.spec.dataset.source.s3 is None:
        return
    volume: Object = {"persistentVolumeClaim": {"claimName": cache.claim}}
    if cache.host_path:  # made by the administrator: one that the kubelet made would be root's
        path = f"{cache.host_path}/{order.owner.namespace}"
        volume = {"hostPath": {"path": path, "type": "Directory"}}
    pod["volumes"].append({"name": _VOLUME, **volume})
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": _VOLUME, "mountPath": MOUNT})
    container["env"] += [
        {"name": "DETNAS_DATA_CACHE", "value": MOUNT},
        {"name": "DETNAS_DATA_CACHE_BYTES", "value": str(int(amount(cache.size)))},
    ]
