"""The example: the whole main job on the digits data set."""

from __future__ import annotations

from pathlib import Path

from tools.environment import Environment
from tools.process import Command, StepFailed, run_shown, say

MANIFEST = Path("examples/digits/search.yaml")
DATA = Path("examples/digits/data")
SEARCHES = Path("runs/local/searches")
"""Beside the manifest; earlier versions of detnas put it into the checkout's root."""

RESULTS = {
    "table and plots": "report/index.html",
    "exported detector": "students/best",
    "every trial": "trials",
}


def run_example(environment: Environment) -> None:
    """Run the search of `examples/digits` in the checkout, then print where its results are.

    Raises:
        StepFailed: with the status of the step that failed.
    """
    make: Command = [environment.python, "examples/digits/make_data.py", DATA]
    run_shown("data set: handwritten digits", make, environment.variables)
    search: Command = [environment.program("detnas"), "run", MANIFEST]
    run_shown(f"search: detnas run {MANIFEST}", search, environment.variables)
    folder = _newest_search(environment.root)
    for name, place in RESULTS.items():
        if (folder / place).exists():
            say(f"  {name}: {(folder / place).relative_to(environment.root)}")


def _newest_search(root: Path) -> Path:
    places = (root / MANIFEST.parent / SEARCHES, root / SEARCHES)
    searches = [folder for place in places for folder in place.glob("digits-*")]
    found = sorted(searches, key=lambda folder: folder.stat().st_mtime)
    if not found:
        raise StepFailed(f"✗ the search has ended but left nothing in {places[0]}")
    return found[-1]
