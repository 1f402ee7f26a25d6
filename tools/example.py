"""The example: the whole main job on the digits data set."""

from __future__ import annotations

from tools.environment import Environment
from tools.process import run_shown


def run_example(environment: Environment) -> None:
    """Run the search of `examples/digits`, then say what lies where.

    Raises:
        StepFailed: with the status of the step that failed.
    """
    run_shown("search", [environment.program("detnas"), "run", "examples/digits/search.yaml"])
