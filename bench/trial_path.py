"""How much code one trial passes through, from its proposal to its entry in the ledger.

    python -m bench.trial_path [--trials 6] [--local] [--calls]

Traces calls of functions of detnas and the operator during some trials after the warm-up, and
prints the trial with the median number of changes of file: calls into another file than the call
before. First the local runner with the tests' pretending trainer, then, unless `--local` is given,
an operator with a real API server, Job controller and S3, whose pods are played; of the operator's
passes those count that propose the trial and read its result. `--calls` lists the calls of each
file.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import detnas
import detnas_operator
from bench.cluster.surroundings import Surroundings, surroundings
from detnas.ledger import History
from detnas.records.proposal import Proposal
from detnas.search import propose
from detnas_operator.cli import main as run_operator
from detnas_operator.reconcile.reconciler import Reconciler
from tests.cluster.api import SEARCHES
from tests.cluster.forked_process import ForkedProcess
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.cluster.searches import manifest
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher

R = TypeVar("R")

EARLIER = {"local runner": "46 files, 244 changes", "operator": "83 files, 751 changes"}
"""At fd365f8, before the scheduler's core became one class; there 685 of 1,229 local calls were for
a detector's cost. This script counts 48 files, 262 changes and 1,255 calls there."""

FIRST = 2
"""Number of the first trial that counts: those before it are the baseline and the warm-up."""

PACKAGES = {
    str(Path(package.__file__ or "").parent.parent) + "/": package.__name__
    for package in (detnas, detnas_operator)
}
SEARCH: dict[str, Any] = {"parallelism": 1, "warmupTrials": 1}


@dataclass(frozen=True, slots=True)
class TrialPath:
    """The files of the calls between a trial's proposal and its entry, in order."""

    trial: int
    calls: list[str]

    @property
    def changes(self) -> int:
        """Calls into another file than the call before."""
        return sum(first != second for first, second in pairwise(self.calls))

    @property
    def files(self) -> Counter[str]:
        """Calls of each file."""
        return Counter(self.calls)


class Tracer(threading.local):
    """Traces trials, and appends the path of each that finishes to a file.

    Args:
        output: one JSON line a trial.
        begun: by trial, the calls of the pass that proposed it, and how many were before.
    """

    def __init__(self, output: Path, begun: dict[int, tuple[list[str], int]]) -> None:
        self._output = output
        self._begun = begun
        self._pass: list[str] = []
        self._before = 0

    def run(self, work: Callable[[], R]) -> R:
        """Trace this thread, and those it starts, while it works."""
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        try:
            return work()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _event(self, frame: FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        # A comprehension or lambda is part of the function around it.
        if event == "call" and code.co_name[0] != "<" and (file := file_of(code.co_filename)):
            if code is Reconciler.reconcile.__code__:
                self._pass = []
            if code is propose.__code__:
                self._before = len(self._pass)
            self._pass.append(file)
        elif event == "return" and code is propose.__code__ and isinstance(value, Proposal):
            self._begun.setdefault(value.index, (self._pass, self._before))
        elif event == "return" and code is History.with_entry.__code__:
            self._finished(frame.f_locals["entry"].index)

    def _finished(self, trial: int) -> None:
        if trial in self._begun:
            proposing, before = self._begun.pop(trial)
            reading = [] if proposing is self._pass else self._pass
            with self._output.open("a") as output:
                output.write(json.dumps([trial, proposing[before:] + reading]) + "\n")


@cache
def file_of(name: str) -> str:
    """Return a file of the packages as their importers spell it, and nothing of other files."""
    for root, package in PACKAGES.items():
        if name.startswith(f"{root}{package}/"):
            return name.removeprefix(root)
    return ""


class TracedOperator(OperatorProcess):
    """An operator that appends the paths of its trials to ``paths`` in its folder."""

    @property
    def paths(self) -> Path:
        """One JSON line a trial."""
        return self.folder / "paths"

    def _started(self, options: list[str]) -> ForkedProcess:
        traced = partial(run_traced, self.paths)
        return ForkedProcess(traced, options, self.log_file, self.folder, self.environment)


def run_traced(paths: Path, arguments: list[str]) -> int:
    """Run an operator, in a process of its own; return its exit code."""
    return Tracer(paths, {}).run(lambda: run_operator(arguments))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--local", action="store_true", help="the local runner only")
    parser.add_argument("--calls", action="store_true", help="list the calls of each file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report("local runner", local_paths(Path(folder), arguments.trials), arguments.calls)
    if not arguments.local:
        with surroundings() as around:
            report("operator", operator_paths(around, arguments.trials), arguments.calls)


def local_paths(folder: Path, trials: int) -> list[TrialPath]:
    """Run a search locally."""
    local = LocalSearch(folder / "search")
    local.write(**SEARCH, trials=trials)
    # A long tick: what the loop does while it waits is not the trial's.
    run = partial(local.run_here, QuietWatcher(), tick=60)
    with contextlib.redirect_stdout(io.StringIO()):
        Tracer(folder / "paths", {}).run(run)
    return read_paths(folder / "paths")


def operator_paths(around: Surroundings, trials: int) -> list[TrialPath]:
    """Let an operator run a search, whose jobs succeed at once."""
    operator = TracedOperator(around.installation, around.folder / "traced")
    operator.start()
    with PodPlayer(around.cluster.api, Scripts(succeeds(work=PretendedTrainer(around.server)))):
        around.cluster.api.create(manifest("one", **SEARCH, trials=trials), around.namespace)
        while not _has_ended(around):
            time.sleep(0.5)
    operator.stop()
    return read_paths(operator.paths)


def _has_ended(around: Surroundings) -> bool:
    search = around.cluster.api.get(SEARCHES, around.namespace, "one")
    phase = search.get("status", {}).get("phase")
    if phase == "Failed":
        raise SystemExit(f"the search failed: {search['status']}")
    return bool(phase == "Succeeded")


def read_paths(file: Path) -> list[TrialPath]:
    """Read what a tracer wrote, but for the first trials."""
    lines = (json.loads(line) for line in file.read_text().splitlines())
    paths = (TrialPath(trial, calls) for trial, calls in lines)
    return [path for path in paths if path.trial >= FIRST]


def report(scheduler: str, paths: list[TrialPath], list_calls: bool) -> None:
    """Print the path with the median number of changes of file."""
    path = sorted(paths, key=lambda one: one.changes)[len(paths) // 2]
    print(
        f"{scheduler}, trial {path.trial} of {len(paths) + FIRST}: {len(path.files)} files, "
        f"{path.changes} changes of file, {len(path.calls)} calls "
        f"(at fd365f8: {EARLIER[scheduler]})"
    )
    if list_calls:
        for file, calls in path.files.most_common():
            print(f"{calls:7} {file}")


if __name__ == "__main__":
    main()
