"""The cache of data sets that outlives a pod: the administrator's choice alone."""

from typing import Any

import pytest
from pydantic import ValidationError

from detnas.records.verbs import Verb
from detnas_operator.configuration.settings import DataCache, JobSettings, Tenant
from detnas_operator.job.pod import add_data_cache
from tests.operator.job.orders import SETTINGS, TENANT, order

S3 = {"dataset": {"source": {"s3": "s3://data/coco"}, "train": "t.json", "val": "v.json"}}


def added(cache: dict[str, Any], spec: dict[str, Any], own: Any = None) -> dict[str, Any]:
    settings = SETTINGS.model_copy(update={"jobs": JobSettings(data_cache=DataCache(**cache))})
    tenant: Tenant = TENANT.model_copy(update={"data_cache": own})
    pod: dict[str, Any] = {"volumes": [], "containers": [{"env": [], "volumeMounts": []}]}
    add_data_cache(pod, order(Verb.EVALUATE, spec), settings, tenant)
    return pod


def test_data_cache_mounts_a_claim_with_its_size() -> None:
    pod = added({"claim": "coco", "size": "2Ki"}, S3)
    assert pod["volumes"] == [
        {"name": "data-cache", "persistentVolumeClaim": {"claimName": "coco"}}
    ]
    (container,) = pod["containers"]
    assert container["volumeMounts"] == [{"name": "data-cache", "mountPath": "/data-cache"}]
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "DETNAS_DATA_CACHE": "/data-cache",
        "DETNAS_DATA_CACHE_BYTES": "2048",
    }


def test_data_cache_of_a_host_path_is_the_namespaces_own() -> None:
    (volume,) = added({"host_path": "/var/detnas"}, S3)["volumes"]
    path = f"/var/detnas/{order(Verb.EVALUATE, S3).owner.namespace}"
    assert volume["hostPath"] == {"path": path, "type": "Directory"}


def test_data_cache_may_differ_per_namespace() -> None:
    (volume,) = added({"claim": "all"}, S3, DataCache(claim="own"))["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "own"}
    assert added({"claim": "all"}, S3, DataCache())["volumes"] == []


def test_pod_without_a_data_cache_or_s3_is_unchanged() -> None:
    assert added({}, S3)["volumes"] == []
    assert added({"claim": "coco"}, {})["volumes"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"claim": "a", "host_path": "/b"},
        {"host_path": "relative"},
        {"host_path": "/var/../etc"},
        {"host_path": "/.."},
        {"size": "much"},
    ],
)
def test_data_cache_settings_refuse_other_locations(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        DataCache(**wrong)
