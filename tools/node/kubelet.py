"""The kubelet, and the cgroups below which all pods of the node run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.node.control_plane import ControlPlane
from tools.node.daemons import Daemons, Layout, wait
from tools.node.missing import CGROUPS
from tools.node.network import run


def _cgroup_folders(name: str) -> list[Path]:
    """The folders of the cgroup `name`: one for each controller of version 1, one of version 2."""
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS / name]
    return [one / name for one in sorted(CGROUPS.iterdir()) if (one / "cgroup.procs").exists()]


# All pods together would count as much as one process of the machine: here, as much as eight.
_WEIGHTS = {"cpu.shares": "8192", "cpu.weight": "800"}


def make_cgroup(name: str) -> None:
    """Make the cgroup, where it is not there yet."""
    for folder in _cgroup_folders(name):
        folder.mkdir(exist_ok=True)
        for file, weight in _WEIGHTS.items():
            if (folder / file).exists():
                (folder / file).write_text(weight, encoding="utf-8")


def end_pods(name: str) -> None:
    """End whatever runs in a pod, also what containerd knows nothing of any more."""

    def is_empty() -> bool:
        found = set(_processes(name))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    wait(is_empty, seconds=10)


def remove_cgroup(name: str) -> None:
    """Remove the cgroup and those below it."""
    for folder in _cgroup_folders(name):
        for path, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def _processes(name: str) -> Iterator[int]:
    for folder in _cgroup_folders(name):
        for file in folder.glob("**/cgroup.procs"):
            with contextlib.suppress(OSError):
                yield from map(int, file.read_text(encoding="utf-8").split())


# The kubelet sets these for the whole machine when it starts.
_MACHINE_WIDE = ("vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")


def start_kubelet(plane: ControlPlane) -> None:
    """Start it and wait until the node is ready.

    Raises:
        StepFailed: it did not start; with the end of its log.
    """
    layout = plane.layout
    make_cgroup(layout.name)
    # Never the machine's own: containerd would copy that into pods if this were empty.
    (layout.configuration / "resolv.conf").write_text(
        f"nameserver {layout.address}\n", encoding="utf-8"
    )
    (layout.configuration / "kubelet.json").write_text(
        json.dumps(configuration(layout)), encoding="utf-8"
    )
    options = {
        "config": layout.configuration / "kubelet.json",
        "kubeconfig": layout.kubeconfig("kubelet"),
        "hostname-override": layout.name,
        "node-ip": layout.address,
        "root-dir": layout.folder / "kubelet",
        "cert-dir": layout.folder / "certificates" / "kubelet",
    }
    daemons = Daemons(layout)
    with _unchanged_machine():
        daemons.start("kubelet", plane.command("kubelet", options))
        ready = ("wait", "--for=condition=Ready", f"node/{layout.name}", "--timeout=1s")
        daemons.wait_until("kubelet", lambda: plane.answers(*ready))


def configuration(layout: Layout) -> dict[str, object]:
    """The kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.address,
        "healthzBindAddress": "127.0.0.1",
        "readOnlyPort": 0,
        # Only the pods of this node can reach it, and the API server has no certificate to show.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "resolvConf": str(layout.configuration / "resolv.conf"),
        "podLogsDir": str(layout.folder / "pod-logs"),
        "volumePluginDir": str(layout.folder / "volume-plugins"),
        "volumeStatsAggPeriod": "10s",  # else an emptyDir that is too large is seen late
        "clusterDomain": "cluster.local",
        "clusterDNS": [layout.address],
        "nodeStatusUpdateFrequency": "5s",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


@contextmanager
def _unchanged_machine() -> Iterator[None]:
    before = [f"{name}={run(['sysctl', '-n', name]).strip()}" for name in _MACHINE_WIDE]
    try:
        yield
    finally:
        run(["sysctl", "-qw", *before])
