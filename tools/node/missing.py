"""What a machine lacks to run a node or to build images, each with what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.node.daemons import MAX_SOCKET_BYTES, Layout
from tools.process import StepFailed

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
# Program to the Debian package that has it.
NODE_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
}
IMAGE_PROGRAMS = {"podman": "podman", "runc": "runc"}
CGROUPS = Path("/sys/fs/cgroup")
GIGABYTES_TO_BUILD = 30
GIGABYTES_TO_RUN = 20  # the trainer's image three times: saved, imported, unpacked


def cni_folder() -> Path | None:
    """Folder of the network plug-ins."""
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), None)


def check(layout: Layout, *, base_from_packages: bool, gigabytes: int) -> None:
    """Refuse a machine that cannot build the images and run the node.

    Args:
        layout: places of the node.
        base_from_packages: the base image is made here.
        gigabytes: of free disk that are needed.

    Raises:
        StepFailed: with everything that is missing.
    """
    if platform.system() != "Linux":
        problems = ["a node needs Linux; run it in a virtual machine with Linux"]
    else:
        problems = [*_machine(layout, gigabytes), *_packages(base_from_packages)]
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise StepFailed(f"✗ this machine cannot run the end-to-end test:{listed}")


def _machine(layout: Layout, gigabytes: int) -> list[str]:
    problems = []
    if os.geteuid() != 0:
        problems.append("a node needs root: run the command with sudo")
    if not any(CGROUPS.glob("**/cgroup.procs")):
        problems.append(f"{CGROUPS} holds no cgroups; mount them")
    if len(str(layout.containerd_socket)) > MAX_SOCKET_BYTES:
        problems.append(f"{layout.folder} is too long a path for sockets; set XDG_CACHE_HOME")
    existing = next(one for one in (layout.folder, *layout.folder.parents) if one.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < gigabytes:
        problems.append(f"{free:.0f} GB are free in {existing}; about {gigabytes} GB are needed")
    return problems


def _packages(base_from_packages: bool) -> list[str]:
    wanted: Mapping[str, str] = {
        **NODE_PROGRAMS,
        **IMAGE_PROGRAMS,
        **({"debootstrap": "debootstrap", "apt-get": "apt"} if base_from_packages else {}),
    }
    lacking = {name: package for name, package in wanted.items() if not shutil.which(name)}
    packages = set(lacking.values()) | (set() if cni_folder() else {"containernetworking-plugins"})
    if not packages:
        return []
    what = ", ".join(lacking) or "the network plug-in bridge"
    install = f"apt-get install -y --no-install-recommends {' '.join(sorted(packages))}"
    return [f"{what} cannot be found; on Debian:\n    {install}"]
