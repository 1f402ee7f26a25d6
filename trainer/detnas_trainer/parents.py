"""Processes that do not outlive who started them."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_LOST_STARTER = 1


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when the process ``parent``, which started it, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we could ask
        os._exit(_LOST_STARTER)
