"""Prepares a process of the trainer: how it computes on CPU, and that it ends with its parent."""

import ctypes
import os
import signal
import sys
from collections.abc import MutableMapping

from detnas.processors import affinity, processors

_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
"""The first is for every OpenMP. GNU's, which torch brings on Linux, also gets some microseconds
of spinning: waking a thread takes longer, and a step of a small model has a thousand waits. So the
number weighs a job's speed alone against its speed beside others: `bench/busy.py` measures both,
docs/measurements.md has the figures. A turn takes up to three times as long on other processors.
"""

_OWN_WAITING = (*_WAITING, "KMP_BLOCKTIME")
_THREADS = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def set_up_openmp(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make threads wait passively, and let there be no more of them than the cgroup's quota.

    A thread that waits for others spins for milliseconds by default: if other processes use the
    same processors, or a quota is used up, it takes time from the threads that it waits for.
    Variables that the user has set are kept.

    OpenMP reads the environment once, when it is loaded.
    """
    if not any(name in environment for name in _OWN_WAITING):
        environment.update(_WAITING)
    if (share := processors()) < affinity():  # the affinity is what OpenMP sees by itself
        for name in _THREADS:
            environment.setdefault(name, str(share))


_PR_SET_PDEATHSIG = 1
_LOST_STARTER = 1


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when the process ``parent``, which started it, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we could ask
        os._exit(_LOST_STARTER)
