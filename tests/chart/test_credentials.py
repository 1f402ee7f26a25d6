"""S3 credentials: from a secret, from keys, from the cloud; the operator's and each tenant's."""

from typing import Any

import pytest
import yaml

from tests.chart.rendering import NAMESPACE, SMALLEST, Chart, Objects, shipped

KEYS = {"accessKeyId": "AKIA-x", "secretAccessKey": "s3cr3t: #'\""}


def with_operator(credentials: dict[str, Any]) -> dict[str, Any]:
    return {**SMALLEST, "storage": {**SMALLEST["storage"], "credentials": credentials}}


def with_tenant(s3: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**SMALLEST, "namespaces": [{"name": "team-a", "s3": s3, **more}]}


def operator_secrets(objects: Objects) -> list[str]:
    sources = objects.container.get("envFrom", [])
    return [source["secretRef"]["name"] for source in sources]


def test_operator_uses_an_existing_secret(chart: Chart) -> None:
    objects = chart.render(with_operator({"existingSecret": "mine"}))
    assert operator_secrets(objects) == ["mine"]
    assert objects.kind("Secret") == []


def test_operator_secret_has_the_keys_in_the_values(chart: Chart) -> None:
    objects = chart.render(with_operator(KEYS))
    secret = objects.one("Secret")
    assert secret["metadata"]["namespace"] == NAMESPACE
    assert secret["stringData"] == {
        "AWS_ACCESS_KEY_ID": KEYS["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": KEYS["secretAccessKey"],
    }
    assert operator_secrets(objects) == [secret["metadata"]["name"]]


def test_new_keys_restart_the_operator(chart: Chart) -> None:
    before, after = (
        chart.render(with_operator({**KEYS, "secretAccessKey": key})) for key in ("old", "new")
    )
    assert before.template["metadata"]["annotations"] != after.template["metadata"]["annotations"]


def test_operator_with_workload_identity_has_no_secret(chart: Chart) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/detnas"}
    values = {**with_operator({"workloadIdentity": True}), "serviceAccount": {"annotations": role}}
    objects = chart.render(values)
    assert operator_secrets(objects) == []
    assert objects.kind("Secret") == []
    assert objects.one("ServiceAccount")["metadata"]["annotations"] == role


def test_tenants_have_their_own_credentials(chart: Chart) -> None:
    objects = chart.render(shipped("namespaced"))
    secrets = {each["namespace"]: each["credentialsSecret"] for each in objects.settings["tenants"]}
    assert secrets == {
        "team-a": "detnas-s3",
        "team-b": "detnas-trainer-s3",
        "team-c": "",
        "team-d": "",
    }
    made = objects.one("Secret")
    assert made["metadata"]["namespace"] == "team-b"
    assert made["metadata"]["name"] == "detnas-trainer-s3"
    assert made["stringData"] == {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    identity = objects.one("ServiceAccount", namespace="team-c")["metadata"]["annotations"]
    assert identity == {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/team-c"}


def test_keys_are_in_secrets_only(chart: Chart) -> None:
    values = {**with_operator(KEYS), "namespaces": with_tenant(KEYS)["namespaces"]}
    others = [each for each in chart.render(values) if each["kind"] != "Secret"]
    text = yaml.safe_dump(others, allow_unicode=True)
    assert KEYS["accessKeyId"] not in text
    assert "s3cr3t" not in text


def test_other_namespaces_use_their_own_credentials(chart: Chart) -> None:
    objects = chart.render(shipped("cluster-wide"))
    assert objects.settings["tenants"][-1] == {
        "namespace": "*", "serviceAccount": "searches", "credentialsSecret": "s3-keys",
    }  # fmt: skip


def test_only_a_cluster_wide_operator_serves_other_namespaces(chart: Chart) -> None:
    message = chart.refusal({**SMALLEST, "otherNamespaces": {"allowed": True}})
    assert "clusterWide: true" in message


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"existingSecret": "mine", "workloadIdentity": True},
        {"existingSecret": "mine", **KEYS},
        {"workloadIdentity": True, **KEYS},
    ],
    ids=["none", "secret and identity", "secret and keys", "identity and keys"],
)
def test_credentials_require_exactly_one_source(chart: Chart, credentials: dict[str, Any]) -> None:
    right = "name one source of S3 credentials: existingSecret, accessKeyId with secretAccessKey"
    message = chart.refusal(with_operator(credentials))
    assert f"storage.credentials: {right}" in message
    message = chart.refusal(with_tenant(credentials))
    assert f"s3 of team-a in namespaces: {right}" in message


@pytest.mark.parametrize("name", list(KEYS))
def test_credentials_refuse_half_a_pair_of_keys(chart: Chart, name: str) -> None:
    right = "accessKeyId and secretAccessKey go together"
    assert right in chart.refusal(with_operator({name: "x"}))
    assert right in chart.refusal(with_tenant({name: "x"}))


def test_values_refuse_a_namespace_listed_twice(chart: Chart) -> None:
    twice = with_tenant({"workloadIdentity": True})["namespaces"] * 2
    assert "team-a is listed twice" in chart.refusal({**SMALLEST, "namespaces": twice})
