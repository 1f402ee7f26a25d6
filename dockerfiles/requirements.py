"""Prints what the project needs with some extras, a requirement a line, for pip's `--requirement`.

    python3.11 requirements.py pyproject.toml trainer export

An image installs these before it copies the sources, so that a change of the sources alone
downloads nothing again.
"""

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path


def requirements(pyproject: Path, extras: Sequence[str]) -> list[str]:
    """Return the project's requirements and those of some of its extras, as they are written.

    Raises:
        KeyError: the project has no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])))
