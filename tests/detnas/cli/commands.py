"""`detnas` as a user types it, with the pretending trainer."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.searches import PHASES
from tests.detnas.searches.local_run import MODULE, PATIENCE, ROOT, LocalSearch

COMMAND = [sys.executable, "-m", MODULE]


def short_search(folder: Path) -> LocalSearch:
    """A search of one trial."""
    search = LocalSearch(folder, spec={"teachers": {"phases": PHASES[:1]}})
    search.write(trials=1, warmupTrials=0)
    return search


def detnas(
    search: LocalSearch, *words: str | Path, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run `detnas` with these words to its end."""
    return run([*COMMAND, str(search.folder), *map(str, words)], **options)


def run(
    command: list[str], env: dict[str, str] | None = None, cwd: Path = ROOT, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end; by default what it prints is kept."""
    if not {"stdout", "stderr"} & set(options):
        options["capture_output"] = True
    environment = {**os.environ, **(env or {})}
    path = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return subprocess.run(
        command, cwd=cwd, env=environment, check=False, timeout=PATIENCE, **options
    )
