"""Prints what the project needs with one extra, a requirement a line, for pip's `--requirement`.

    python3.11 requirements.py pyproject.toml operator

An image installs these before it copies the sources, so that a change of the sources alone
downloads nothing again.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extra: str) -> list[str]:
    """Return the project's requirements and those of one of its extras, as they are written.

    Raises:
        KeyError: the project has no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), sys.argv[2])))
