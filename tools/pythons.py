"""The Python interpreters of this machine that detnas runs on.

`dev.py` imports this under whatever `python3` is, so no syntax here is newer than Python 3.6.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

OLDEST = (3, 11)
NEWEST = (3, 13)
SUPPORTED = "3.11, 3.12 or 3.13"

_PROBE = "import sys, venv, ensurepip; print('%d %d' % sys.version_info[:2])"
_PROBE_SECONDS = 30


def is_supported(version: "Sequence[int]") -> bool:
    """Whether detnas runs on a Python version, of which major and minor are read."""
    return OLDEST <= tuple(version[:2]) <= NEWEST


def find_pythons() -> "Iterator[tuple[tuple[int, int], str]]":
    """Yield the version and path of every supported interpreter that starts, newest first.

    A file of the right name proves nothing: a pyenv shim exists for every version that pyenv has,
    and fails for those that are not selected. So each candidate is started once.
    """
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        for path in _candidates(minor):
            if _starts_as(path, minor):
                yield (3, minor), path
                break


def _candidates(minor: int) -> "Iterator[str]":
    if sys.version_info[:2] == (3, minor):
        yield sys.executable
    on_path = shutil.which(f"python3.{minor}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(map(str, pyenv.glob(f"versions/3.{minor}.*/bin/python3")), reverse=True)


def _starts_as(path: str, minor: int) -> bool:
    """Whether an interpreter starts, is Python 3.minor, and can make virtual environments."""
    try:
        said = subprocess.check_output(
            [path, "-c", _PROBE], stderr=subprocess.DEVNULL, timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return said.split() == [b"3", str(minor).encode()]
