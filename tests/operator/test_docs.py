"""Whether docs/operator.md names everything that the operator can say, and nothing else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from detnas.plan.stages import Phase
from detnas.resource.status import ConditionType, ResourceStatus
from detnas_operator.job_state.states import WaitingReason
from detnas_operator.queue.work_queue import QueueState
from detnas_operator.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
SOURCES = ("operator/detnas_operator", "detnas/lifecycle")
SAY_WHY = {"Reason", "Refusal", "BlockedError"}
"""What is made with a condition's reason as its first argument."""

PASSED_ON = {"error.reason", "found.reason", "key.reason", "source.reason", "found[0].reason"}
PHASES = {str(phase) for phase in Phase} - {Phase.SUCCEEDED}
MEANT: dict[str, set[str]] = {
    "str(search.phase)": PHASES,
    "str(reason)": {str(reason) for reason in WaitingReason}
    - {WaitingReason.STARTING, WaitingReason.STOPPING},
    "f'{reason}Invalid'": {"PoolInvalid", "WarmStartInvalid"},
    "f'{reason}Forbidden'": {"PoolForbidden", "WarmStartForbidden"},
}
"""First arguments that are no literal, and what they can be."""


def calls(names: set[str]) -> Iterator[tuple[ast.Call, ast.Module]]:
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            module = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(module):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                    yield node, module


def said(expression: ast.expr, module: ast.Module) -> set[str]:
    """The reasons that an expression can be; a name is looked up where it is assigned."""
    if isinstance(expression, ast.Constant):
        return {str(expression.value)}
    if isinstance(expression, ast.IfExp):
        return said(expression.body, module) | said(expression.orelse, module)
    text = ast.unparse(expression)
    if text in MEANT:
        return MEANT[text]
    assigned = [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and [ast.unparse(one) for one in node.targets] == [text]
    ]
    literals = [value for value in assigned if isinstance(value, ast.Constant | ast.IfExp)]
    if text in PASSED_ON or not isinstance(expression, ast.Name):
        assert text in PASSED_ON, f"{text}: say in MEANT what it can be"
        return set()
    return set().union(*(said(value, module) for value in literals))


def reasons() -> set[str]:
    return set().union(*(said(call.args[0], module) for call, module in calls(SAY_WHY)))


def section(name: str) -> str:
    return TEXT.partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0]


def first_cells(text: str) -> set[str]:
    """What is quoted in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in rows for word in re.findall(r"`(\w+)`", cell)}


def test_reasons_are_found_in_the_code() -> None:
    assert {"InvalidSpec", "QuotaExceeded", "AdmissionRefused", "StoreRefused"} <= reasons()
    assert {"PoolUnfinished", "FailuresInARow", "ImagePull", "Exported"} <= reasons()


def test_every_reason_of_a_condition_is_explained_and_none_that_is_never_given() -> None:
    assert first_cells(section("reasons")) == reasons()


def test_every_condition_and_every_phase_is_explained() -> None:
    named = first_cells(TEXT)
    assert set(get_args(ConditionType)) <= named
    assert {"Pending", "Suspended", *Phase} <= named


def test_every_field_of_the_status_is_explained() -> None:
    fields = {field.alias or name for name, field in ResourceStatus.model_fields.items()}
    table = TEXT.partition("### Status")[2].partition("### Events")[0]
    assert first_cells(table) == fields


def test_every_event_is_named() -> None:
    literals = {
        word
        for call, _ in calls({"_event"})
        for word in (call.args[1].value if isinstance(call.args[1], ast.Constant) else "",)
    }
    assert {"NewBest", "PoolTakenOver", "Recovered"} <= literals
    listed = TEXT.partition("### Events")[2].partition("## Suspend")[0]
    assert literals - {""} <= set(re.findall(r"`(\w+)`", listed))


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
