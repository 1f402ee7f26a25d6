"""The interpreter that `dev.py` chooses: one that starts, of a version that is supported."""

import stat
import sys
from pathlib import Path

import pytest

from tools import pythons

OTHER = next(minor for minor in (13, 12) if minor != sys.version_info[1])


@pytest.fixture
def only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds all interpreters there are, beside the one that runs the test."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _found() -> dict[tuple[int, int], str]:
    return dict(pythons.find_pythons())


def test_the_running_python_is_found_also_where_path_has_none(only_here: Path) -> None:
    assert _found() == {sys.version_info[:2]: sys.executable}


@pytest.mark.parametrize(
    "script",
    [
        "echo 'pyenv: command not found' >&2; exit 127",
        "exit 0",
        "echo 3 9",
        f"echo 3 {OTHER}; exit 1",  # such as: No module named ensurepip
    ],
)
def test_a_program_of_the_right_name_that_is_no_such_python_is_passed_over(
    only_here: Path, script: str
) -> None:
    _program(only_here / f"python3.{OTHER}", script)
    assert (3, OTHER) not in _found()


def test_behind_a_shim_that_fails_pyenvs_own_interpreter_is_found(only_here: Path) -> None:
    _program(only_here / f"python3.{OTHER}", "exit 127")
    there = _program(only_here / f"pyenv/versions/3.{OTHER}.4/bin/python3", f"echo 3 {OTHER}")
    assert _found()[3, OTHER] == str(there)


def test_the_newest_comes_first(only_here: Path) -> None:
    for minor in (11, 12, 13):
        _program(only_here / f"python3.{minor}", f"echo 3 {minor}")
    found = list(_found())
    assert found == sorted(found, reverse=True)
    assert len(found) == 3


@pytest.mark.parametrize("version", [(3, 10), (3, 14), (2, 7), (4, 0)])
def test_other_versions_are_not_supported(version: tuple[int, int]) -> None:
    assert not pythons.is_supported(version)
