"""containerd of a node: its configuration, its start, and the images that it is given."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.node.daemons import Daemons, Layout, inside
from tools.node.missing import cni_folder
from tools.node.network import pod_network, run, succeeds
from tools.process import Command, run_piped

PAUSE_IMAGE = "localhost/detnas-pause:1"

# Images come from archives alone: a pull asks a closed port and fails at once.
_HOSTS = """server = "http://127.0.0.1:9"
[host."http://127.0.0.1:9"]
  capabilities = ["pull", "resolve"]
"""

# restrict_oom_score_adj: without CAP_SYS_RESOURCE it cannot be lowered, and every pod would fail.
# SystemdCgroup: the kubelet uses cgroupfs, too.
_CONFIGURATION = """version = 2
root = "{folder}/containerd"
state = "{folder}/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        Root = "{folder}/run/runc"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{conf}/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{conf}/cni"
"""


def configuration(layout: Layout) -> str:
    """The text of containerd's configuration file."""
    return _CONFIGURATION.format(
        folder=layout.folder,
        conf=layout.configuration,
        socket=layout.containerd_socket,
        pause=PAUSE_IMAGE,
        runc=shutil.which("runc"),
        cni=cni_folder(),
    )


def start_containerd(layout: Layout) -> None:
    """Start it and wait until it answers.

    Raises:
        StepFailed: it did not start; with the end of its log.
    """
    conf = layout.configuration
    for file, text in (
        (conf / "containerd.toml", configuration(layout)),
        (conf / "cni" / "10-bridge.conflist", pod_network(layout)),
        (conf / "registries" / "_default" / "hosts.toml", _HOSTS),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    layout.containerd_socket.parent.mkdir(parents=True, exist_ok=True)
    daemons = Daemons(layout)
    daemons.start("containerd", ["containerd", "--config", conf / "containerd.toml"])
    daemons.wait_until("containerd", lambda: succeeds(ctr(layout, "version")), 30)


def import_images(layout: Layout, save: Command) -> None:
    """Import the images of the archive that the command `save` writes to its output.

    Raises:
        StepFailed: with what the import said.
    """
    take = ctr(layout, "images", "import", "--no-unpack=false", "-")
    run_piped(save, take, "the images cannot be imported")


def remove_tasks(layout: Layout) -> None:
    """End every container that is known."""
    for task in run(ctr(layout, "tasks", "list", "-q")).split():
        succeeds(ctr(layout, "tasks", "delete", "--force", task))


def ctr(layout: Layout, *arguments: str | Path) -> list[str]:
    """The command that talks to the node's containerd, about the kubelet's containers."""
    socket: Command = ["ctr", "--address", layout.containerd_socket, "--namespace", "k8s.io"]
    return inside(layout, [*socket, *arguments])
