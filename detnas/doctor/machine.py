"""Python, processors, memory, shared memory and disks of this machine."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from detnas.findings import Finding, doubtful, faulty, good
from detnas.processors import affinity, processor_name, processor_quota, requested_threads

OLDEST, NEWEST = (3, 11), (3, 13)
"""Versions of Python that the packages support."""

GIGA = 10**9
LEAST_MEMORY = 2 * GIGA
"""Of a job with the smallest detector."""

LEAST_SHARED_MEMORY = GIGA
"""Processes that load images hand them over through it, and so do the ranks of a job."""

LEAST_DISK, ENOUGH_DISK = GIGA, 10 * GIGA
_MEMORY = Path("/proc/meminfo")
_SHARED = Path("/dev/shm")  # noqa: S108 # its size is read, nothing is written there


@dataclass(frozen=True)
class Disk:
    """A folder that detnas writes to.

    Attributes:
        free: bytes.
        problem: why nothing can be written there; empty if it can.
    """

    free: int
    problem: str = ""


@dataclass(frozen=True)
class MachineFacts:
    """What a machine has.

    Attributes:
        python: its version.
        platform: operating system and architecture.
        processor: its name.
        affinity: processors that this process may be scheduled on.
        quota: how many processors' time the cgroups grant; None without a limit.
        threads: that the environment requests; None if it does not.
        memory: bytes that are available; None if unknown.
        shared_memory: bytes that are free in /dev/shm; None if there is none.
        disks: folders that are written to, by what they are for.
    """

    python: tuple[int, int, int]
    platform: str
    processor: str
    affinity: int
    quota: float | None
    threads: int | None
    memory: int | None
    shared_memory: int | None
    disks: Mapping[str, Disk] = field(default_factory=dict)


def machine_facts(folders: Mapping[str, Path]) -> MachineFacts:
    """Look at this machine.

    Args:
        folders: that will be written to, by what they are for; they need not exist.
    """
    return MachineFacts(
        python=sys.version_info[:3],
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        affinity=affinity(),
        quota=processor_quota(),
        threads=requested_threads(),
        memory=_available_memory(),
        shared_memory=shutil.disk_usage(_SHARED).free if _SHARED.is_dir() else None,
        disks={f"{use} {folder}": _disk(folder) for use, folder in folders.items()},
    )


def _available_memory(information: Path = _MEMORY) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _disk(folder: Path) -> Disk:
    """Of a folder, or of the nearest one above that exists."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        return Disk(0, f"{there} is not a folder")
    writable = os.access(there, os.W_OK | os.X_OK)
    return Disk(shutil.disk_usage(there).free, "" if writable else f"{there} is read-only to you")


def machine_findings(facts: MachineFacts, jobs: int, gpus: int) -> Iterator[Finding]:
    """Judge a machine.

    Args:
        facts: of it.
        jobs: that run concurrently.
        gpus: that jobs can use.
    """
    yield _python(facts)
    yield _processors(facts)
    if facts.memory is not None:
        yield _memory(facts.memory, jobs)
    yield _shared_memory(facts.shared_memory, gpus)
    for use, disk in facts.disks.items():
        yield _space(use, disk)


def _python(facts: MachineFacts) -> Finding:
    found = f"{'.'.join(map(str, facts.python))} on {facts.platform}"
    if OLDEST <= facts.python[:2] <= NEWEST:
        return good("Python", found)
    oldest, newest = (".".join(map(str, one)) for one in (OLDEST, NEWEST))
    return faulty("Python", found, f"use Python {oldest} to {newest}")


def _processors(facts: MachineFacts) -> Finding:
    granted = facts.affinity if facts.quota is None else min(facts.affinity, facts.quota)
    found = f"{granted:g} of {facts.processor}"
    if facts.quota is not None and facts.quota < 1:
        return doubtful(
            "processors", found, "raise the container's CPU quota: training needs one at least"
        )
    if facts.threads is not None and facts.threads > granted:
        return doubtful(
            "processors",
            f"{found}, and OMP_NUM_THREADS={facts.threads} asks for more",
            "unset OMP_NUM_THREADS: each job gets its share by itself",
        )
    return good("processors", found)


def _memory(available: int, jobs: int) -> Finding:
    found = f"{_giga(available)} available"
    if available < LEAST_MEMORY:
        return faulty(
            "memory", found, f"end other programs: a job needs {_giga(LEAST_MEMORY)} at least"
        )
    if available < jobs * LEAST_MEMORY:
        return doubtful(
            "memory",
            f"{found} for {jobs} concurrent jobs",
            f"lower search.parallelism to {available // LEAST_MEMORY}, or end other programs",
        )
    return good("memory", found)


def _shared_memory(free: int | None, gpus: int) -> Finding:
    if free is None:
        return good("shared memory", "no /dev/shm on this system")
    found = f"{_giga(free)} free in /dev/shm"
    if free >= LEAST_SHARED_MEMORY:
        return good("shared memory", found)
    remedy = "enlarge it: docker run --shm-size=8g, or mount -o remount,size=8g /dev/shm"
    return (faulty if gpus > 1 else doubtful)("shared memory", found, remedy)


def _space(use: str, disk: Disk) -> Finding:
    if disk.problem:
        return faulty(use, disk.problem, "make it writable, or name another folder")
    found = f"{_giga(disk.free)} free"
    if disk.free < LEAST_DISK:
        return faulty(use, found, "free space there, or name another folder")
    if disk.free < ENOUGH_DISK:
        return doubtful(use, found, "`detnas estimate` says how much a search stores")
    return good(use, found)


def _giga(count: int) -> str:
    return f"{count / GIGA:,.1f} GB"
