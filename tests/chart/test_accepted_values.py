"""Values that helm accepts load in the operator; what would stop it is refused by helm."""

import json
from pathlib import Path
from typing import Any

import pytest

from detnas_operator.configuration.settings import load_settings
from tests.chart.rendering import ONE_TENANT, SMALLEST, Chart, Values

BOTH = {"claim": "copies", "hostPath": "/var/copies"}
TEAM_A = ONE_TENANT["namespaces"][0]


def forced(**fields: Any) -> Values:
    return {"jobs": {"policy": {"forced": fields}}}


def storage(**fields: Any) -> Values:
    return {"storage": {**SMALLEST["storage"], **fields}}


def node_affinity(**requirement: Any) -> Values:
    term = {"matchExpressions": [{"key": "gpu", **requirement}]}
    required = {"nodeSelectorTerms": [term]}
    return forced(
        affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    )


REFUSED: list[tuple[Values, str]] = [
    ({"jobs": {"dataCache": BOTH}}, "jobs.dataCache: give either claim or hostPath, not both"),
    (
        {"namespaces": [{**TEAM_A, "dataCache": BOTH}]},
        "namespaces[team-a].dataCache: give either claim or hostPath, not both",
    ),
    (
        forced(podLabels={"app.kubernetes.io/name": "x"}),
        "invalid propertyName 'app.kubernetes.io/name'",
    ),
    (forced(podLabels={"detnas.dev/search": "x"}), "invalid propertyName 'detnas.dev/search'"),
    (forced(podLabels={"job-name": "x"}), "invalid propertyName 'job-name'"),
    (forced(podLabels={"-x": "x"}), "invalid propertyName '-x'"),
    (
        forced(podAnnotations={"container.apparmor.security.beta.kubernetes.io/trainer": "x"}),
        "invalid propertyName 'container.apparmor.security.beta.kubernetes.io/trainer'",
    ),
    (
        forced(podAnnotations={"detnas.dev/ended-pods": "x"}),
        "invalid propertyName 'detnas.dev/ended-pods'",
    ),
    (forced(env={"LD_PRELOAD": "x.so"}), "invalid propertyName 'LD_PRELOAD'"),
    (forced(nodeSelector={"a/b/c": "x"}), "invalid propertyName 'a/b/c'"),
    (forced(resources={"extended": {"gpu": "1"}}), "invalid propertyName 'gpu'"),
    (
        forced(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        "/tolerations/0/value",
    ),
    (forced(tolerations=[{"value": "b"}]), "tolerations/0': missing property 'key'"),
    (forced(tolerations=[{"operator": "Equal"}]), "tolerations/0': missing property 'key'"),
    (
        forced(tolerations=[{"key": "a", "tolerationSeconds": 1}]),
        "tolerations/0': missing property 'effect'",
    ),
    (node_affinity(operator="In"), "missing property 'values'"),
    (node_affinity(operator="Exists", values=["a"]), "maxItems: got 1, want 0"),
    (node_affinity(operator="Gt", values=["a"]), "'a' does not match pattern"),
    ({"jobs": {"policy": {"maximum": {"gpuHours": "0"}}}}, "maximum/gpuHours': '0' does not match"),
    ({"jobs": {"policy": {"maximum": {"gpuHours": "0.0"}}}}, "'0.0' does not match"),
    (storage(allowed=["s3://bucket/../other"]), "at '/storage/allowed/0': 's3://bucket/../other'"),
    (storage(allowed=["s3://bucket/a/.."]), "at '/storage/allowed/0': 's3://bucket/a/..'"),
    (storage(allowed=["s3://bucket/./a"]), "at '/storage/allowed/0': 's3://bucket/./a'"),
    (storage(allowed=["s3://bucket/a\\b"]), "at '/storage/allowed/0'"),
    (storage(default="s3://experiments/detnas/../x"), "at '/storage/default'"),
    (storage(region="x" * 65), "at '/storage/region'"),
]

ACCEPTED: list[Values] = [
    {"jobs": {"dataCache": {**BOTH, "hostPath": ""}}},
    {"namespaces": [{**TEAM_A, "dataCache": {**BOTH, "claim": ""}}]},
    forced(podLabels={"example.com/app": "x", "job": ""}, podAnnotations={"kueue.x-k8s.io/a": "b"}),
    forced(env={"NCCL_IB_HCA": "mlx5"}, nodeSelector={}, tolerations=[]),
    forced(tolerations=[{"operator": "Exists"}, {"key": "a"}, {"key": "a", "operator": "Exists"}]),
    forced(
        tolerations=[
            {"key": "a", "operator": "Exists", "value": ""},
            {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0},
        ]
    ),
    node_affinity(operator="In", values=["a"]),
    node_affinity(operator="DoesNotExist", values=[]),
    node_affinity(operator="Lt", values=["4"]),
    {"jobs": {"policy": {"maximum": {"gpuHours": "0.00000000001"}}}},
    storage(allowed=["s3://bucket/.a/...b/c..d/", "s3://other/..e"], default="s3://other/..e/..."),
]


def shown(case: object) -> str:
    return json.dumps(case) if isinstance(case, dict) else ""


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=shown)
def test_values_that_would_stop_the_operator_are_refused_by_name(
    chart: Chart, values: Values, message: str
) -> None:
    assert message in chart.refusal({**ONE_TENANT, **values})


@pytest.mark.parametrize("values", ACCEPTED, ids=shown)
def test_values_that_are_accepted_load_in_the_operator(
    chart: Chart, tmp_path: Path, values: Values
) -> None:
    file = tmp_path / "operator.yaml"
    objects = chart.render({**ONE_TENANT, **values})
    file.write_text(objects.configuration["data"]["operator.yaml"])
    load_settings(file)
