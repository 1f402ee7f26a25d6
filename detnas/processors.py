"""How many processors this process may use: by its CPU affinity and its cgroups' quotas.

A process sees every processor of its machine; with a thread for each of them in a container that
is granted two, the scheduler keeps most of its threads waiting most of the time.
"""

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

_PROCESS = Path("/proc/self")


def processors(process: Path = _PROCESS) -> int:
    """Return the processors that this process may use, at least 1.

    Args:
        process: its folder in procfs, which names its cgroups.
    """
    quota = processor_quota(process)
    return affinity() if quota is None else max(1, min(affinity(), int(quota)))


def affinity() -> int:
    """Return the processors that this process may be scheduled on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name(information: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, such as ``AMD EPYC 9654``; its architecture if that is unknown.

    Args:
        information: what Linux says of the processors.
    """
    with contextlib.suppress(OSError):
        for line in information.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"} and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def requested_threads(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the threads that `OMP_NUM_THREADS` requests; None if it is unset or not a number."""
    outermost = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(outermost) if outermost.isdecimal() and int(outermost) else None


def processor_quota(process: Path = _PROCESS) -> float | None:
    """Return how many processors' time cgroups grant this process; None without a limit.

    A group's limit also binds the groups within it: the smallest on the way up counts. A limit that
    cannot be read or parsed is ignored.

    Args:
        process: its folder in procfs.
    """
    limits: list[float] = []
    with contextlib.suppress(OSError, ValueError):
        limits += [limit for group in _groups(process) if (limit := _limit(group)) is not None]
    return min(limits, default=None)


def _groups(process: Path) -> Iterator[Path]:
    """Yield the folders of the process's cgroups that may limit its CPU time, of both versions."""
    mounts = (process / "mountinfo").read_text().splitlines()
    for line in (process / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in mounts:
            left, _, right = mount.partition(" - ")
            kind, _, options = right.split(" ", 2)
            if kind == ("cgroup" if controllers else "cgroup2") and (
                not controllers or "cpu" in options.split(",")
            ):
                root, mount_point = left.split()[3:5]
                yield from _upwards(Path(mount_point), PurePosixPath(path), root)


def _upwards(mount_point: Path, path: PurePosixPath, root: str) -> Iterator[Path]:
    """Yield a group's folder and those above it that are mounted."""
    within = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath()
    if ".." in within.parts:  # the process was moved out of its namespace's part of the tree
        within = PurePosixPath()
    for place in (within, *within.parents):
        yield mount_point / place


def _limit(group: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((group / name).read_text() for name in names)
        if quota != "max" and int(quota) > 0 and int(period) > 0:
            return int(quota) / int(period)
    return None


def nvidia_gpus(driver: Path = Path("/proc/driver/nvidia/gpus")) -> int:
    """Return how many GPUs NVIDIA's driver shows; 0 without one.

    Args:
        driver: its folder in procfs.
    """
    return sum(1 for _ in driver.iterdir()) if driver.is_dir() else 0
