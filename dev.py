#!/usr/bin/env python3
"""Set up a checkout and run it: `python3 dev.py example`, `test`, `e2e`, `setup` or `kubernetes`.

Needs Python 3.11, 3.12 or 3.13 and nothing else; what it installs goes into `.venv` in the
checkout.
"""

import os
import sys

from tools.pythons import SUPPORTED, find_pythons, is_supported


def _ensure_python() -> None:
    """Continue under a supported Python, or say how to get one. Kept free of newer syntax."""
    if is_supported(sys.version_info):
        return
    for _, path in find_pythons():
        os.execv(path, [path, os.path.abspath(__file__), *sys.argv[1:]])  # noqa: PTH100, S606
    sys.exit(
        "detnas needs Python %s; this is %s, and no other that starts was found.\n"  # noqa: UP031
        "Install one (for example: apt install python3.11 python3.11-venv) and run the command "
        "again." % (SUPPORTED, sys.version.split()[0])
    )


if __name__ == "__main__":
    _ensure_python()
    from tools.commands import main

    sys.exit(main(sys.argv[1:]))
