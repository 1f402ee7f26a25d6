"""The operator's configuration: what the chart writes is what the operator reads."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detnas_operator.configuration.settings import OWN_VARIABLES, OperatorSettings, load_settings
from tests.chart.rendering import NAMESPACE, ONE_TENANT, SHIPPED, SMALLEST, Chart, Objects, shipped


def read_by_the_operator(objects: Objects, folder: Path) -> OperatorSettings:
    file = folder / "operator.yaml"
    file.write_text(objects.configuration["data"]["operator.yaml"])
    return load_settings(file)


@pytest.mark.parametrize("name", SHIPPED)
def test_rendered_configuration_loads_in_the_operator(
    chart: Chart, tmp_path: Path, name: str
) -> None:
    objects = chart.render(shipped(name))
    settings = read_by_the_operator(objects, tmp_path)
    dumped = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == objects.settings


def test_rendered_configuration_has_every_value(chart: Chart, tmp_path: Path) -> None:
    settings = read_by_the_operator(chart.render(shipped("cluster-wide")), tmp_path)
    assert settings.namespaces == ()
    assert settings.storage.model_dump(by_alias=True) == {
        "endpoint": "",
        "region": "eu-central-1",
        "allowed": ("s3://experiments", "s3://shared/detnas"),
        "default": "s3://shared/detnas/new",
        "sharedPools": True,
        "caBundle": {"configMap": "", "secret": "", "key": "ca.crt"},
    }
    assert settings.jobs.model_dump(include={"ttl_seconds", "gpu_resource", "env"}) == {
        "ttl_seconds": 60,
        "gpu_resource": "amd.com/gpu",
        "env": {"HTTPS_PROXY": "http://proxy:3128", "LEVEL": "1"},
    }
    assert settings.trainer.image_pull_policy == "Always"
    assert settings.trainer.image_pull_secrets == ("registry", "mirror")
    numbers = (settings.workers, settings.resync_seconds, settings.progress_seconds)
    assert numbers == (16, 600, 30)
    assert (settings.health.port, settings.metrics.port) == (8081, 9091)
    assert settings.log_level == "DEBUG"


def test_rendered_defaults_are_the_operators_own(rendered: Objects, tmp_path: Path) -> None:
    settings = read_by_the_operator(rendered, tmp_path)
    own = OperatorSettings(
        namespaces=(NAMESPACE, "team-a"),
        trainer=settings.trainer,
        tenants=settings.tenants,
        storage=settings.storage,
    )
    assert settings == own
    assert settings.storage.region == type(settings.storage).model_fields["region"].default


def test_default_location_is_the_first_allowed_one(chart: Chart, tmp_path: Path) -> None:
    storage = {**SMALLEST["storage"], "allowed": ["s3://one/a", "s3://two"]}
    settings = read_by_the_operator(chart.render({**SMALLEST, "storage": storage}), tmp_path)
    assert settings.storage.default == "s3://one/a"


def test_rendered_configuration_keeps_large_integers(chart: Chart, tmp_path: Path) -> None:
    objects = chart.render({**SMALLEST, "jobs": {"ttlSeconds": 31_536_000}})
    assert read_by_the_operator(objects, tmp_path).jobs.ttl_seconds == 31_536_000


def test_operator_restarts_only_on_a_changed_configuration(chart: Chart) -> None:
    def annotations(values: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = chart.render(values).template["metadata"]["annotations"]
        return found

    before = annotations({**ONE_TENANT})
    assert annotations({**ONE_TENANT, "workers": 9}) != before
    assert annotations({**ONE_TENANT, "metrics": {"serviceMonitor": {"enabled": True}}}) == before


def test_values_refuse_the_operators_own_variables(chart: Chart) -> None:
    schema = yaml.safe_load(
        (Path(__file__).parents[2] / "charts/detnas/values.schema.json").read_text()
    )
    refused = schema["properties"]["jobs"]["properties"]["env"]["propertyNames"]["not"]["enum"]
    assert set(refused) == OWN_VARIABLES
    assert "HOME" in chart.refusal({**SMALLEST, "jobs": {"env": {"HOME": "/"}}})


@pytest.mark.parametrize(
    ("allowed", "default", "inside"),
    [
        ("s3://one/a", "s3://one/a", True),
        ("s3://one/a", "s3://one/a/b/", True),
        ("s3://one/a/", "s3://one/a", True),
        ("s3://one", "s3://one/a", True),
        ("s3://one/a", "s3://one/ab", False),
        ("s3://one/a", "s3://one", False),
        ("s3://one", "s3://one-more", False),
    ],
)
def test_values_refuse_a_default_location_that_is_not_allowed(
    chart: Chart, allowed: str, default: str, inside: bool
) -> None:
    storage = {**SMALLEST["storage"], "allowed": [allowed], "default": default}
    if inside:
        assert (
            chart.render({**SMALLEST, "storage": storage}).settings["storage"]["default"] == default
        )
    else:
        message = chart.refusal({**SMALLEST, "storage": storage})
        assert f"storage.default: {default} is under none of storage.allowed" in message


def test_values_require_an_allowed_location(chart: Chart) -> None:
    storage = {"credentials": SMALLEST["storage"]["credentials"]}
    assert "storage.allowed: name at least one place" in chart.refusal(
        {**SMALLEST, "storage": storage}
    )
