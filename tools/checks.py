"""The checks of a change: format, lint, types, import borders, tests."""

from __future__ import annotations

from collections.abc import Sequence

from tools.environment import Environment
from tools.kubernetes import obtain_for_tests
from tools.process import Command, run_shown

WORKERS = "2"


def run_checks(environment: Environment, pytest_arguments: Sequence[str]) -> None:
    """Run every check in turn, the quickest first; the first that fails ends it.

    Raises:
        StepFailed: with the status of the check that failed.
    """
    # One thread a worker: more only contend for the cores, and results stay comparable.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    variables = {**environment.variables, **threads, "OMP_WAIT_POLICY": "PASSIVE"}
    for title in ("ruff check", "ruff format --check", "lint-imports", "mypy"):
        name, *options = title.split()
        run_shown(title, [environment.program(name), *options], variables)
    obtain_for_tests()
    distribution = ["-n", WORKERS, "--dist", "worksteal"]
    command: Command = [environment.program("pytest"), *distribution, *pytest_arguments]
    run_shown("pytest", command, variables, own_ending=True)
