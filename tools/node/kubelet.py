"""The kubelet: its configuration and its start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tools.node import cgroups
from tools.node.control_plane import ControlPlane
from tools.node.daemons import Daemons
from tools.node.layout import Layout
from tools.node.network import run

# The kubelet sets these for the whole machine when it starts.
_MACHINE_WIDE = ("vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")


def start_kubelet(plane: ControlPlane) -> None:
    """Start it and wait until the node is ready.

    Raises:
        StepFailed: it did not start; with the end of its log.
    """
    layout = plane.layout
    cgroups.make(layout.name)
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
