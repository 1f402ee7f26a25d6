"""Whether docs/operator.md names everything that the operator can say, and nothing else."""

import re
from pathlib import Path
from typing import get_args

import pytest

from detnas.plan.stages import Phase
from detnas.reasons import Category, ConditionType, ReasonCode
from detnas.resource.status import ResourceStatus
from detnas_operator.queue.work_queue import QueueState
from detnas_operator.telemetry.metrics import Metrics
from tools.reason_tables import documentation, with_tables

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")


def first_cells(text: str) -> set[str]:
    """What is quoted in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in rows for word in re.findall(r"`(\w+)`", cell)}


def test_tables_of_reasons_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run: python -m tools.reason_tables"


def test_every_reason_is_documented_once() -> None:
    described = documentation()
    internal = {code for code in ReasonCode if code.category is Category.INTERNAL}
    assert described.keys() == set(ReasonCode)
    reasons = TEXT.partition("<!-- reasons:begin -->")[2].partition("<!-- events:end -->")[0]
    for code in set(ReasonCode) - internal:
        assert reasons.count(f"\n| `{code}` |") == 1


def test_every_condition_and_every_phase_is_explained() -> None:
    named = first_cells(TEXT)
    assert set(get_args(ConditionType)) <= named
    assert {"Pending", "Suspended", *Phase} <= named


def test_every_field_of_the_status_is_explained() -> None:
    fields = {field.alias or name for name, field in ResourceStatus.model_fields.items()}
    table = TEXT.partition("### Status")[2].partition("### Events")[0]
    assert first_cells(table) == fields


def test_every_reason_of_an_event_is_named() -> None:
    of_events = {code for code in ReasonCode if code.category is Category.EVENT}
    others = {"Accepted", "WaitingForPool", "Suspended", "Failed"}
    section = TEXT.partition("### Events")[2].partition("## Suspend")[0]
    assert of_events | others <= set(re.findall(r"`(\w+)`", section))


def test_every_metric_is_named() -> None:
    metrics = Metrics()
    metrics.watch_queue(lambda: QueueState(0, 0, 0.0, 0, 0.0, 0.0))
    counters = {f"{one.name}_total" for one in metrics.registry.collect() if one.type == "counter"}
    others = {one.name for one in metrics.registry.collect() if one.type != "counter"}
    own = {name for name in counters | others if name.startswith("detnas_")}
    assert own == set(re.findall(r"`(detnas_[a-z_]+)`", TEXT.partition("## Observe")[2]))


def headings(page: Path) -> set[str]:
    lines = page.read_text(encoding="utf-8").splitlines()
    titles = [line.lstrip("# ").lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/operator.md",
        "docs/architecture.md",
        "docs/decisions/README.md",
        "docs/decisions/0008-mmdet-with-torchvision-operators.md",
        "SECURITY.md",
        "docs/cluster-e2e.md",
        "charts/detnas/README.md",
    ],
)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), target
        assert not heading or heading in headings(other), target
