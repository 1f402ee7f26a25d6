"""A cluster, as the operator's package looks at it in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from detnas.findings import Finding, faulty

COMMAND = (sys.executable, "-m", "detnas_operator", "doctor")
_PARTS = ("detnas_operator", "kubernetes")
_SHOWN_LINES = 3


def cluster_findings(
    namespace: str,
    manifest: Path | None,
    *,
    with_pod: bool = False,
    command: Sequence[str] = COMMAND,
) -> Iterator[Finding]:
    """Yield what is found in a cluster, as soon as each is known.

    Args:
        namespace: of the search.
        manifest: of the search, if there is one.
        with_pod: also run a pod as a job's.
        command: starts the process.
    """
    if not all(map(find_spec, _PARTS)):
        yield faulty(
            "operator's package",
            "it is not installed here, and it is what asks a cluster",
            "pip install 'detnas[operator]'",
        )
        return
    words = [*command, "--namespace", namespace]
    if manifest is not None:
        words += ["--manifest", str(manifest)]
    if with_pod:
        words.append("--pod")
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if (finding := _finding(line)) is not None:
                yield finding
        errors = process.stderr.read().strip().splitlines()
    if process.returncode:
        said = " / ".join(errors[-_SHOWN_LINES:]) or "no output"
        yield faulty("cluster", f"the check ended with {process.returncode}: {said}", "")


def _finding(line: str) -> Finding | None:
    try:
        return Finding.model_validate_json(line)
    except ValidationError:
        return None
