"""What the operator takes from kopf under private names is there, and kopf's version is bounded.

kopf promises nothing about these names: any minor release may move them.
"""

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
USED = {
    "kopf._cogs.clients.errors.APIError": (),
    "kopf._cogs.clients.watching.WatchingError": (),
    "kopf._cogs.structs.references.Insights": ("ready_resources", "watched_resources"),
}
"""Private names, and the attributes that instances without arguments must have."""

MOVED = (
    "kopf {version} has no {name}, which detnas_operator imports under a private name. Find what "
    "took its place and change the import, or lower the upper bound of kopf in pyproject.toml "
    "and its version in constraints.txt."
)


def private_imports() -> Iterator[str]:
    """Private names of kopf that the operator's sources import."""
    for file in (ROOT / "operator").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kopf._"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (one.name for one in node.names if one.name.startswith("kopf._"))


def missing(name: str, attributes: tuple[str, ...], kopf_version: str) -> str:
    """What to do about a private name that is not there any more; nothing where it is."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return MOVED.format(version=kopf_version, name=name)
    lost = [one for one in attributes if not hasattr(found(), one)]
    return MOVED.format(version=kopf_version, name=f"{name}.{lost[0]}") if lost else ""


def test_every_private_import_is_listed_here() -> None:
    assert set(private_imports()) == set(USED)


@pytest.mark.parametrize("name", sorted(USED))
def test_private_name_is_still_there(name: str) -> None:
    if problem := missing(name, USED[name], version("kopf")):
        pytest.fail(problem)


@pytest.mark.parametrize(
    ("name", "attributes", "named"),
    [
        ("kopf._cogs.clients.gone.APIError", (), "kopf._cogs.clients.gone.APIError"),
        ("kopf._cogs.clients.errors.Gone", (), "kopf._cogs.clients.errors.Gone"),
        ("kopf._cogs.structs.references.Insights", ("gone",), "references.Insights.gone"),
    ],
)
def test_a_name_that_moved_is_told_with_what_to_do(
    name: str, attributes: tuple[str, ...], named: str
) -> None:
    problem = missing(name, attributes, "9.9")
    assert "kopf 9.9 has no" in problem
    assert named in problem
    assert "pyproject.toml" in problem


def test_spawn_tasks_takes_what_it_is_given() -> None:
    import kopf

    given = {"registry", "settings", "insights", "standalone", "clusterwide", "namespaces"}
    assert given <= set(inspect.signature(kopf.spawn_tasks).parameters)


def test_the_next_minor_version_of_kopf_is_not_installed_untested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [
        one for one in project["optional-dependencies"]["operator"] if one.startswith("kopf")
    ]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (tested,) = [line.partition("==")[2] for line in lines if line.startswith("kopf==")]
    major, minor, *_ = (int(part) for part in tested.split("."))
    assert wanted == f"kopf>={tested},<{major}.{minor + 1}"
