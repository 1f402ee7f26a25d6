"""The values: all of them explained, and wrong ones refused with what would be right."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import detnas
from tests.chart.rendering import (
    FOLDER,
    IMAGES,
    ONE_TENANT,
    SHIPPED,
    SMALLEST,
    Chart,
    Values,
    shipped,
)

DEFAULTS = yaml.safe_load((FOLDER / "values.yaml").read_text())
SCHEMA = json.loads((FOLDER / "values.schema.json").read_text())


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to."""
    for reference in (schema, *schema.get("allOf", ())):
        if name := reference.get("$ref"):
            return {**SCHEMA["definitions"][name.rpartition("/")[2]], **schema}
    return schema


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that the schema names, by its path."""
    for name, field in schema.get("properties", {}).items():
        found = resolved(field)
        yield f"{path}.{name}".removeprefix("."), found
        yield from fields(found, f"{path}.{name}")
        yield from fields(resolved(found.get("items", {})), f"{path}.{name}[]")


def leaves(values: Any, path: str = "") -> Iterator[str]:
    """Every value that is no map, by its path."""
    if not isinstance(values, dict) or not values:
        yield path
        return
    for name, value in values.items():
        yield from leaves(value, f"{path}.{name}".removeprefix("."))


def test_app_version_is_the_projects() -> None:
    assert yaml.safe_load((FOLDER / "Chart.yaml").read_text())["appVersion"] == detnas.__version__


def test_values_schema_describes_every_field() -> None:
    assert [path for path, field in fields(SCHEMA) if not field.get("description")] == []


def test_values_schema_refuses_unknown_fields() -> None:
    lax = [
        path
        for path, field in fields(SCHEMA)
        if "properties" in field and field.get("additionalProperties") is not False
    ]
    assert lax == []


def test_values_file_has_a_documented_default_for_every_field() -> None:
    known = {path for path, _ in fields(SCHEMA) if "[]" not in path} - {"global"}
    written = set(leaves(DEFAULTS))
    parents = {path for path in known if any(other.startswith(f"{path}.") for other in written)}
    unsaid = {path for path in known - parents if not _lies_in_a_written_one(path, written)}
    assert unsaid == set()


def _lies_in_a_written_one(path: str, written: set[str]) -> bool:
    """Whether a field, or an empty section around it, stands in the file."""
    parts = path.split(".")
    return any(".".join(parts[: end + 1]) in written for end in range(len(parts)))


def test_values_file_has_only_fields_of_the_schema(chart: Chart) -> None:
    assert chart.render({**DEFAULTS, **ONE_TENANT})


@pytest.mark.parametrize("name", SHIPPED)
def test_chart_passes_helm_lint(chart: Chart, name: str) -> None:
    done = chart.lint(shipped(name))
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


def test_defaults_pass_helm_lint(chart: Chart) -> None:
    assert chart.lint({}).returncode == 0


def tenant(**fields: Any) -> Values:
    return {"namespaces": [{"name": "team-a", "s3": {"workloadIdentity": True}, **fields}]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
        ({"image": {"tag": 1.2}}, "at '/image/tag': got number, want string"),
        ({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match pattern"),
        ({"image": {"pullPolicy": "always"}}, "must be one of 'Always', 'IfNotPresent', 'Never'"),
        ({"image": {"repository": "x@y"}}, "at '/image/repository': 'x@y' does not match"),
        ({"imagePullSecrets": ["x"]}, "at '/imagePullSecrets/0': got string, want object"),
        ({"namespaces": ["team-a"]}, "at '/namespaces/0': got string, want object"),
        ({"namespaces": [{"name": "team-a"}]}, "missing property 's3'"),
        ({"namespaces": [{"s3": {"workloadIdentity": True}}]}, "missing property 'name'"),
        (tenant(name="Team_A"), "at '/namespaces/0/name': 'Team_A' does not match pattern"),
        (tenant(bucket="x"), "at '/namespaces/0': additional properties 'bucket' not allowed"),
        (tenant(s3={"secret": "x"}), "additional properties 'secret' not allowed"),
        (tenant(serviceAccount={"create": "no"}), "create': got string, want boolean"),
        ({"clusterWide": "yes"}, "at '/clusterWide': got string, want boolean"),
        ({"storage": {"allowed": ["file:///data"]}}, "at '/storage/allowed/0': 'file:///data'"),
        ({"storage": {"allowed": "s3://bucket"}}, "at '/storage/allowed': got string, want array"),
        ({"storage": {"allowed": ["s3://a-b?x"]}}, "at '/storage/allowed/0': 's3://a-b?x'"),
        ({"storage": {"endpoint": "s3.example.com"}}, "at '/storage/endpoint': 's3.example.com'"),
        ({"workers": 0}, "at '/workers': minimum: got 0, want 1"),
        ({"workers": 1.5}, "at '/workers': got number, want integer"),
        ({"logLevel": "info"}, "must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
        ({"jobs": {"env": {"PROXY": 1}}}, "at '/jobs/env/PROXY': got number, want string"),
        ({"jobs": {"gpuResource": "gpu"}}, "at '/jobs/gpuResource': 'gpu' does not match"),
        ({"jobs": {"multiNode": "Job"}}, "'Auto', 'JobSet', 'IndexedJob'"),
        ({"jobs": {"policy": {"force": {}}}}, "at '/jobs/policy': additional properties 'force'"),
        ({"jobs": {"policy": {"forced": {"queue": "a"}}}}, "additional properties 'queue'"),
        ({"jobs": {"policy": {"maximum": {"gpus": 17}}}}, "maximum/gpus': maximum: got 17"),
        (tenant(policy={"allowed": {"image": []}}), "at '/namespaces/0/policy/allowed'"),
        ({"jobs": {"podSecurityContext": {"runAsUser": 0}}}, "minimum: got 0, want 1"),
        ({"proxy": {"https": "proxy:3128"}}, "at '/proxy/https': 'proxy:3128' does not match"),
        ({"openshift": "yes"}, "at '/openshift': got string, want boolean"),
        ({"health": {"port": 70000}}, "at '/health/port': maximum: got 70,000, want 65,535"),
        ({"health": {"port": 9090}}, "health.port and metrics.port are both 9090; change one"),
        ({"podLabels": {"x": True}}, "at '/podLabels/x': got boolean, want string"),
        ({"extraEnv": {"A": "b"}}, "at '/extraEnv': got object, want array"),
        ({"crds": {"install": True}}, "at '/crds': additional properties 'install' not allowed"),
        ({"networkPolicy": {"s3": {"ports": ["https"]}}}, "got string, want integer"),
        ({"podDisruptionBudget": {"verbs": ["train"]}}, "at '/podDisruptionBudget/verbs/0'"),
        ({"podDisruptionBudget": {"verbs": []}}, "minItems: got 0, want 1"),
    ],
    ids=lambda case: json.dumps(case) if isinstance(case, dict) else "",
)
def test_wrong_values_are_refused_by_name(chart: Chart, values: Values, message: str) -> None:
    storage = {**SMALLEST["storage"], **values.get("storage", {})}
    assert message in chart.refusal({**IMAGES, **values, "storage": storage})


def test_values_of_a_parent_chart_are_ignored(chart: Chart) -> None:
    assert chart.render({**SMALLEST, "global": {"imageRegistry": "example.org"}})
