"""docs/architecture.md names files and folders that exist, and all folders there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = {
    "detnas": ROOT / "detnas",
    "detnas_operator": ROOT / "operator" / "detnas_operator",
    "detnas_trainer": ROOT / "trainer" / "detnas_trainer",
}


def test_files_of_the_walkthrough_exist() -> None:
    walkthrough = PAGE.partition("## The life of a trial")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py)`", walkthrough)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_table_lists_every_module_of_a_package(package: str) -> None:
    table = PAGE.partition(f"| `{package}` | |")[2].partition("\n\n")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in row.split(", ")}
    present = {
        path.stem
        for path in PACKAGES[package].iterdir()
        if (path / "__init__.py").is_file() or path.suffix == ".py"
    }
    internal = {"__init__", "__main__", "version"}
    assert {name.strip("`") for name in listed} == present - internal
