#!/usr/bin/env python3
"""Set up a checkout and run it: `python3 dev.py example`, `test`, `e2e`, `setup` or `kubernetes`.

Needs Python 3.11 and nothing else; what it installs goes into `.venv` in the checkout.
"""

import os
import shutil
import sys

PYTHON = (3, 11)


def _ensure_python() -> None:
    """Continue under Python 3.11, or say how to get it. Kept free of newer syntax."""
    if sys.version_info[:2] == PYTHON:
        return
    name = "python%d.%d" % PYTHON  # noqa: UP031 - must run on any Python 3
    found = shutil.which(name)
    if found is None:
        sys.exit(
            "detnas needs Python %d.%d; this is %s and there is no %s on PATH.\n"  # noqa: UP031
            "Install it (for example: apt install %s %s-venv) and run the command again."
            % (PYTHON + (sys.version.split()[0], name, name, name))  # noqa: RUF005
        )
    os.execv(found, [found, os.path.abspath(__file__), *sys.argv[1:]])  # noqa: PTH100, S606


if __name__ == "__main__":
    _ensure_python()
    from tools.commands import main

    sys.exit(main(sys.argv[1:]))
