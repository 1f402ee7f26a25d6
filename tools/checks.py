"""The checks of a change: format, lint, types, import borders, tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tools.environment import Environment, setup
from tools.kubernetes import obtain_for_tests
from tools.process import Command, run_shown, say
from tools.pythons import find_pythons

WORKERS = "3"  # on 2 cores: the tests of the operator mostly wait for Kubernetes
DISTRIBUTED = ("-n", WORKERS, "--dist", "loadgroup", "--no-loadscope-reorder")
TEST_VARIABLES = {
    # One thread a worker: more only contend for the cores, and results stay comparable.
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "PASSIVE",
    # Tests call `main` in their own process, which an eight-bit locale would restart.
    "PYTHONUTF8": "1",
}
NEWEST_PYTHON_TESTS = (
    # What another Python may do differently; arithmetic is none of it.
    "tests/test_imports.py",
    # Classes that are made from annotations,
    *("tests/detnas/records", "tests/detnas/spec"),
    # asyncio, threads, processes and signals,
    *("tests/operator/queue", "tests/operator/cluster/test_streaming.py"),
    *("tests/detnas/runner/test_job_server.py", "tests/trainer/training/test_interruption.py"),
    *("tests/trainer/test_process_setup.py", "tests/trainer/test_warm.py"),
    "tests/trainer/data/test_detection_data.py",
    # pickles and archives,
    *("tests/trainer/foreign/test_unpickling.py", "tests/trainer/training/test_checkpoint.py"),
    # command line, logs, and a job with all its parts.
    *("tests/trainer/test_cli.py", "tests/trainer/jobs/test_logs.py"),
    *("tests/trainer/jobs/test_resumed.py", "tests/trainer/foreign/test_description.py"),
)


def run_checks(environment: Environment, pytest_arguments: Sequence[str]) -> None:
    """Run every check in turn, the quickest first; the first that fails ends it.

    Raises:
        StepFailed: with the status of the check that failed.
    """
    variables = {**environment.variables, **TEST_VARIABLES}
    for title in ("ruff check", "ruff format --check", "lint-imports", "mypy"):
        name, *options = title.split()
        run_shown(title, [environment.program(name), *options], variables)
    if not pytest_arguments:
        _test_on_newest_python(environment)
    obtain_for_tests()
    command: Command = [environment.program("pytest"), *DISTRIBUTED, *pytest_arguments]
    run_shown("pytest", command, variables, own_ending=True)


def _test_on_newest_python(environment: Environment) -> None:
    """Run tests of what Pythons may do differently on the newest one, if it is another.

    Raises:
        StepFailed: the environment could not be made, or a test failed.
    """
    version, interpreter = next(find_pythons())
    if version <= sys.version_info[:2]:
        say("── no newer Python that detnas supports starts here: nothing to test on it")
        return
    name = ".".join(map(str, version))
    newest = Environment(environment.root, f".venv-{name}", interpreter)
    setup(newest)
    command: Command = [newest.program("pytest"), *DISTRIBUTED, "-q", *NEWEST_PYTHON_TESTS]
    run_shown(f"pytest on Python {name}", command, {**newest.variables, **TEST_VARIABLES})
