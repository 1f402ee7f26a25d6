"""Metrics for Prometheus, and the budget that keeps dear pods in place."""

from typing import Any

import pytest

from tests.chart.rendering import ONE_TENANT, Chart, Objects, shipped

API = ("--api-versions", "monitoring.coreos.com/v1")


def monitors(chart: Chart, monitor: dict[str, Any], *options: str) -> int:
    values = {**ONE_TENANT, "metrics": {"serviceMonitor": monitor}}
    return len(chart.render(values, *options).kind("ServiceMonitor"))


@pytest.mark.parametrize(
    ("monitor", "options", "made"),
    [
        ({}, API, 0),
        ({"enabled": True}, (), 0),
        ({"enabled": True}, API, 1),
        ({"enabled": True, "force": True}, (), 1),
        ({"force": True}, API, 0),
    ],
    ids=["off", "no API", "API", "forced", "off though forced"],
)
def test_service_monitor_is_rendered_only_with_its_definition(
    chart: Chart, monitor: dict[str, Any], options: tuple[str, ...], made: int
) -> None:
    assert monitors(chart, monitor, *options) == made


def test_service_monitor_selects_the_metrics_port(chart: Chart) -> None:
    objects = chart.render(shipped("cluster-wide"), *API)
    monitor, service = objects.one("ServiceMonitor"), objects.one("Service")
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    assert selector <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["interval"]) == ("/metrics", "15s")
    (port,) = service["spec"]["ports"]
    assert port["name"] == endpoint["port"]
    listened = {each["name"]: each["containerPort"] for each in objects.container["ports"]}
    assert listened[port["targetPort"]] == 9091
    assert service["metadata"]["annotations"] == {"example.com/scrape": "true"}


def test_budget_keeps_every_pod_of_the_named_jobs(chart: Chart, rendered: Objects) -> None:
    assert rendered.kind("PodDisruptionBudget") == []
    objects = chart.render({**ONE_TENANT, "podDisruptionBudget": {"enabled": True}})
    budget = objects.one("PodDisruptionBudget", namespace="team-a")
    spec = budget["spec"]
    assert spec["selector"] == {
        "matchLabels": {
            "app.kubernetes.io/name": "detnas-trainer",
            "app.kubernetes.io/managed-by": "detnas",
        },
        "matchExpressions": [{"key": "detnas.dev/verb", "operator": "In", "values": ["pool"]}],
    }
    # For pods of Jobs Kubernetes takes an integer here, and no maxUnavailable.
    assert isinstance(spec["minAvailable"], int)
    assert spec["minAvailable"] > 100_000
    assert "maxUnavailable" not in spec


def test_budget_names_trials_as_the_manifest_does(chart: Chart) -> None:
    budget = {"enabled": True, "verbs": ["trial", "evaluate", "base"]}
    objects = chart.render({**ONE_TENANT, "podDisruptionBudget": budget})
    (labels,) = objects.one("PodDisruptionBudget")["spec"]["selector"]["matchExpressions"]
    assert labels["values"] == ["evaluate", "base"]
