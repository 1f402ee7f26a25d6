"""A node, from nothing to ready and back to nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from tools.kubernetes import NODE as NODE_PROGRAMS
from tools.node.containerd import import_images, remove_tasks, start_containerd
from tools.node.control_plane import PROGRAMS as CONTROL_PROGRAMS
from tools.node.control_plane import ControlPlane
from tools.node.daemons import Daemons, Layout
from tools.node.kubelet import end_pods, remove_cgroup, start_kubelet
from tools.node.network import make_network, remove_network, start_services, succeeds
from tools.node.s3_server import S3Server
from tools.process import Command, clock, say

BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm", *NODE_PROGRAMS)
_CONTAINER_LINKS = Path("/var/log/containers")  # the kubelet knows no other place


def start_node(layout: Layout, binaries: Mapping[str, Path], save_pause: Command) -> ControlPlane:
    """Start a node and wait until it is ready; what an earlier one left is removed first.

    `save_pause` writes an archive with the image of every pod's sandbox.

    Raises:
        StepFailed: a part of it did not start; with the end of its log.
    """
    stop_node(layout)
    started = time.monotonic()
    layout.configuration.mkdir(parents=True)
    make_network(layout)
    start_containerd(layout)
    import_images(layout, save_pause)
    plane = ControlPlane(layout, binaries)
    plane.start()
    start_services(plane)
    start_kubelet(plane)
    say(f"✓ a node of Kubernetes in a network namespace ({clock(time.monotonic() - started)})")
    return plane


def stop_node(layout: Layout) -> None:
    """Stop the node and remove all traces of it; no matter in which state it is."""
    daemons = Daemons(layout)
    for name in ("kubelet", "kube-proxy", "coredns", "s3"):
        daemons.stop(name)
    S3Server.remove_sockets()
    end_pods(layout.name)
    if daemons.is_running("containerd"):
        remove_tasks(layout)
    daemons.stop("containerd")
    _end_shims(layout)
    for name in reversed(CONTROL_PROGRAMS):
        daemons.stop(name)
    _unmount(layout)
    remove_cgroup(layout.name)
    remove_network(layout)
    for link in _CONTAINER_LINKS.glob("*"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{layout.folder}/"):
            link.unlink()
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(layout.folder)


def _end_shims(layout: Layout) -> None:
    """End containerd's helpers; each names our socket in its command line."""
    ours = str(layout.containerd_socket).encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and ours in words:
                os.kill(int(folder.name), signal.SIGKILL)


def _unmount(layout: Layout) -> None:
    mounts = [
        line.split()[1]
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    ]
    ours = [path for path in mounts if path.startswith(f"{layout.folder}/")]
    for path in sorted(ours, reverse=True):
        succeeds(["umount", "--lazy", path])
