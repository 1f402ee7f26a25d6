"""For all tests: one thread a process, the slow ones first, the serial ones last and alone."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.seaweed", "tests.cluster.fixtures", "tests.earlier_version"]

# The same examples every time, and no time limit on a busy machine.
settings.register_profile(
    "detnas", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("detnas")

# Before torch is imported: workers would otherwise contend for the cores.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that no worker is left alone with one at the end.

    Tests that share something go to one worker: each other would make it again.
    """
    items.sort(key=_rank)
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str:
    """What the worker of a test is chosen by; empty if any will do.

    Fixtures of a module are made for all its tests, such as an operator with its searches. Some
    tests of a finished search compare its folder before and after a command.
    """
    fixtures: dict[str, Any] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    if "jobset_controller" in fixtures:
        return "jobsets"
    module = f"{item.path.parent.name}/{item.path.stem}"
    if "finished" in fixtures:
        values = getattr(item, "callspec", None)
        return f"{module} {values.params.get('finished', '') if values else ''}".strip()
    scopes = {definitions[-1].scope for definitions in fixtures.values() if definitions}
    return module if "module" in scopes else ""


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("serial"):
        return 2
    return 0 if item.get_closest_marker("slow") else 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a serial test run while no other worker of this checkout runs a test."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    alone = item.get_closest_marker("serial") is not None
    with _turn(item.config.rootpath / ".pytest_cache", alone=alone):
        return (yield)


@contextlib.contextmanager
def _turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """A readers-writer lock among workers.

    Everyone passes the gate to take a turn; who wants to be alone waits in the gate, so that
    nobody else begins.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "gate.lock").open("w") as gate, (folder / "turn.lock").open("w") as turn:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
