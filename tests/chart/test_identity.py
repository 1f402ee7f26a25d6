"""Workload identity: the documents' examples render, and say what they promise."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from detnas_operator.configuration.settings import OperatorSettings, load_settings
from tests.chart.rendering import IMAGES, NAMESPACE, Chart, Objects, Values

PAGE = (Path(__file__).parents[2] / "docs" / "operator.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Workload identity\n")[2].partition("\n## ")[0]
EXAMPLES: dict[str, Values] = {
    title: yaml.safe_load(text)
    for title, text in re.findall(r"```yaml\n# ([^\n:]+):[^\n]*\n(.*?)```", SECTION, re.DOTALL)
}
USE = {"azure.workload.identity/use": "true"}


@pytest.fixture(params=list(EXAMPLES))
def example(request: pytest.FixtureRequest, chart: Chart) -> tuple[str, Objects]:
    """An example, rendered."""
    return request.param, chart.render({**IMAGES, **EXAMPLES[request.param]})


def read(objects: Objects, folder: Path) -> OperatorSettings:
    file = folder / "operator.yaml"
    file.write_text(objects.configuration["data"]["operator.yaml"])
    return load_settings(file)


def accounts(objects: Objects) -> dict[str, dict[str, Any]]:
    """Metadata of the service accounts, by namespace."""
    return {one["metadata"]["namespace"]: one["metadata"] for one in objects.kind("ServiceAccount")}


def test_examples_exist_for_every_cloud() -> None:
    assert set(EXAMPLES) == {"AWS with IRSA", "AWS with Pod Identity", "GKE", "Azure"}


def test_examples_need_no_keys(example: tuple[str, Objects], tmp_path: Path) -> None:
    title, objects = example
    assert objects.kind("Secret") == []
    assert "envFrom" not in objects.container
    settings = read(objects, tmp_path)
    assert {tenant.credentials_secret for tenant in settings.tenants} == {""}, title
    assert {NAMESPACE, "team-a"} <= accounts(objects).keys()


@pytest.mark.parametrize("title", ["AWS with IRSA", "GKE"])
def test_aws_example_has_a_role_per_namespace(chart: Chart, title: str) -> None:
    found = accounts(chart.render({**IMAGES, **EXAMPLES[title]}))
    roles = [one["annotations"]["eks.amazonaws.com/role-arn"] for one in found.values()]
    assert len(set(roles)) == len(roles) == 3


def test_pod_identity_example_names_accounts_only(chart: Chart) -> None:
    objects = chart.render({**IMAGES, **EXAMPLES["AWS with Pod Identity"]})
    named = {one["namespace"]: one["name"] for one in accounts(objects).values()}
    associations = dict(
        re.findall(r"--namespace (\S+) --service-account (\S+)", SECTION.replace("\\\n", " "))
    )
    assert associations == named


def test_azure_example_labels_pods_and_accounts(chart: Chart, tmp_path: Path) -> None:
    objects = chart.render({**IMAGES, **EXAMPLES["Azure"]})
    assert USE.items() <= objects.template["metadata"]["labels"].items()
    settings = read(objects, tmp_path)
    assert settings.jobs.policy.forced.pod_labels == USE
    for account in accounts(objects).values():
        assert account["annotations"]["azure.workload.identity/client-id"]


def test_account_labels_and_annotations_are_per_namespace(chart: Chart) -> None:
    s3 = {"workloadIdentity": True}
    values = {
        **IMAGES,
        "storage": {"allowed": ["s3://bucket"], "credentials": s3},
        "serviceAccount": {"labels": {"example.com/of": "operator"}},
        "namespaces": [
            {"name": name, "s3": s3, "serviceAccount": {"labels": {"example.com/of": name}}}
            for name in ("team-a", "team-b")
        ],
    }
    found = accounts(chart.render(values))
    assert {name: one["labels"]["example.com/of"] for name, one in found.items()} == {
        NAMESPACE: "operator",
        "team-a": "team-a",
        "team-b": "team-b",
    }
    assert all(one["labels"]["app.kubernetes.io/part-of"] == "detnas" for one in found.values())
