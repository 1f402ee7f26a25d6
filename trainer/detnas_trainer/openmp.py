"""How this process computes on CPU; set up before torch is loaded, which brings OpenMP."""

import os
from collections.abc import MutableMapping

from detnas.processors import affinity, processors

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_THREADS = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def set_up_openmp(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make threads wait passively, and let there be no more of them than the cgroup's quota.

    A thread that waits for others spins by default, for as long as the scheduler lets it: where
    other processes want the same processors, or a quota is used up, it takes the time that those
    threads need which it waits for. What the user has set stays.

    Args:
        environment: of this process; OpenMP reads it once, when it is loaded.
    """
    if not any(name in environment for name in _WAITING):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if (share := processors()) < affinity():  # the affinity is what OpenMP sees by itself
        for name in _THREADS:
            environment.setdefault(name, str(share))
