"""Alerts and dashboard ask for metrics that the operator has, by labels that these have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detnas_operator.queue.work_queue import QueueState
from detnas_operator.telemetry.metrics import Metrics
from tests.chart.rendering import ONE_TENANT, Chart, Document, shipped

API = ("--api-versions", "monitoring.coreos.com/v1")
PAGE = (Path(__file__).parents[2] / "docs" / "operator.md").read_text(encoding="utf-8")
OF_THE_TARGET = {"namespace", "pod", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""

FUNCTIONS = {"absent", "sum", "max", "rate", "increase", "histogram_quantile", "label_values"}
PROMQL = FUNCTIONS | {"by", "and", "on"}
WITH_LABELS = re.compile(r"(\w+)\{([^}]*)\}")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
STRING, RANGE = re.compile(r'"[^"]*"'), re.compile(r"\[\d+[smh]\]")


def exposed() -> dict[str, set[str]]:
    """Labels by name, of every series that the operator exposes."""
    metrics = Metrics()
    metrics.watch_queue(lambda: QueueState(1, 1, 1.0, 1, 1.0, 1.0))
    metrics.set_search("n", "s", phase="Searching", gpu_hours=1, best_h=1, base_h=1)
    metrics.set_degraded("n", "s", "ImagePull")
    metrics.count_pass("ok", 1.0)
    metrics.count_write("create", "jobs", "ok")
    metrics.count_store_error(ValueError())
    metrics.count_trials("succeeded")
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def wrong(expression: str, known: dict[str, set[str]]) -> list[str]:
    """What a PromQL expression asks for that there is not."""
    found = []
    for name, matchers in WITH_LABELS.findall(expression):
        asked = set(re.findall(r"(\w+)\s*[=!]", STRING.sub("", matchers)))
        if extra := asked - known.get(name, set()) - OF_THE_TARGET:
            found.append(f"{name} has no label {', '.join(sorted(extra))}")
    bare = WITH_LABELS.sub(r"\1", expression)
    grouped = {each.strip() for labels in GROUPING.findall(bare) for each in labels.split(",")}
    words = set(re.findall(r"[a-z_]\w*", RANGE.sub("", GROUPING.sub("", bare)))) - PROMQL
    found += [f"there is no metric {word}" for word in sorted(words - known.keys())]
    labels = set().union(OF_THE_TARGET, *(known.get(word, set()) for word in words))
    found += [f"nothing has a label {label}" for label in sorted(grouped - labels - {""})]
    return found


@pytest.fixture(scope="module")
def rules(chart: Chart) -> list[Document]:
    """The alerts, as the Prometheus operator gets them."""
    (group,) = chart.render(shipped("cluster-wide"), *API).one("PrometheusRule")["spec"]["groups"]
    found: list[Document] = group["rules"]
    return found


@pytest.fixture(scope="module")
def dashboard(chart: Chart) -> Document:
    """The dashboard, as Grafana reads it."""
    found = chart.render(shipped("cluster-wide")).one("ConfigMap", "detnas-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "vision"}
    loaded: Document = json.loads(found["data"]["detnas.json"])
    return loaded


def test_alerts_use_existing_metrics(rules: list[Document]) -> None:
    known = exposed()
    assert {rule["alert"]: wrong(rule["expr"], known) for rule in rules} == {
        rule["alert"]: [] for rule in rules
    }
    assert len(rules) >= 8


def expressions(dashboard: Document) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield re.sub(r", (\w+)\)$", ")", variable["query"]["query"])


def test_dashboard_uses_existing_metrics(dashboard: Document) -> None:
    known, asked = exposed(), list(expressions(dashboard))
    assert [problem for each in asked for problem in wrong(each, known)] == []
    shown = " ".join(asked)
    own = {re.sub(r"_(bucket|sum|created|total)$", "", name) for name in known}
    assert [name for name in own if name.startswith("detnas_") and name not in shown] == []


def test_dashboard_panels_do_not_overlap(dashboard: Document) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(rate(detnas_trial_total[5m]))", "there is no metric detnas_trial_total"),
        ('detnas_trials_total{result="x"}', "detnas_trials_total has no label result"),
        ("max by (search) (detnas_queue_keys)", "nothing has a label search"),
        ("histogram_quantile(0.5, detnas_reconcile_seconds_bukket)", "seconds_bukket"),
    ],
)
def test_unknown_series_finds_a_misspelt_metric_or_label(expression: str, problem: str) -> None:
    assert problem in " ".join(wrong(expression, exposed()))


def test_alerts_name_the_outcomes_that_the_operator_counts(
    rules: list[Document],
) -> None:
    from detnas_operator.cluster import errors

    (refused,) = [rule["expr"] for rule in rules if rule["alert"] == "DetnasWritesRefused"]
    names = re.findall(r'outcome=~"([^"]*)"', refused)[0].split("|")
    assert all(issubclass(getattr(errors, name), errors.ClusterError) for name in names)


def test_every_alert_has_a_runbook(rules: list[Document]) -> None:
    section = PAGE.partition("## Alerts")[2].partition("\n## ")[0]
    headings = re.findall(r"^### (\w+)$", section, re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in rules)
    for rule in rules:
        annotations = rule["annotations"]
        assert annotations["runbook_url"] == (
            f"https://wiki.example.com/detnas#{rule['alert'].lower()}"
        )
        assert annotations["summary"]
        assert annotations["description"]
        assert rule["labels"]["severity"] in {"critical", "warning"}


def rule_of(chart: Chart, rule: dict[str, Any], *options: str) -> int:
    values = {**ONE_TENANT, "metrics": {"prometheusRule": rule}}
    return len(chart.render(values, *options).kind("PrometheusRule"))


@pytest.mark.parametrize(
    ("rule", "options", "made"),
    [
        ({}, API, 0),
        ({"enabled": True}, (), 0),
        ({"enabled": True}, API, 1),
        ({"enabled": True, "force": True}, (), 1),
    ],
    ids=["off", "no API", "API", "forced"],
)
def test_alerts_are_rendered_only_with_their_definition(
    chart: Chart, rule: dict[str, Any], options: tuple[str, ...], made: int
) -> None:
    assert rule_of(chart, rule, *options) == made


def test_alerts_have_no_runbook_url_without_an_address(chart: Chart) -> None:
    values = {**ONE_TENANT, "metrics": {"prometheusRule": {"enabled": True}}}
    (group,) = chart.render(values, *API).one("PrometheusRule")["spec"]["groups"]
    assert not [rule for rule in group["rules"] if "runbook_url" in rule["annotations"]]


def test_operator_down_alert_distinguishes_releases(chart: Chart) -> None:
    values = {**ONE_TENANT, "metrics": {"prometheusRule": {"enabled": True}}}
    objects = chart.render(values, *API, release="two", namespace="elsewhere")
    (group,) = objects.one("PrometheusRule")["spec"]["groups"]
    (down,) = [rule for rule in group["rules"] if rule["alert"] == "DetnasOperatorDown"]
    pods = 'namespace="elsewhere", pod=~"two-detnas-[^-]+-[^-]+"'
    assert down["expr"] == f"absent(detnas_queue_keys{{{pods}}})"
    assert objects.one("Deployment")["metadata"]["name"] == "two-detnas"


def test_dashboard_is_off_by_default(chart: Chart) -> None:
    assert len(chart.render(ONE_TENANT).kind("ConfigMap")) == 1
