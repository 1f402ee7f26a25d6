"""The network of a node: a namespace without any way out, and a bridge for its pods."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

from tools.node.daemons import inside
from tools.node.layout import Layout
from tools.process import Command, StepFailed

BRIDGE = "detnas0"


def make_network(layout: Layout) -> None:
    """Make the namespace, its loopback and the bridge with the node's address.

    Raises:
        StepFailed: with what `ip` said.
    """
    if not layout.network.exists():
        run(["ip", "netns", "add", layout.name])
    run(inside(layout, ["ip", "link", "set", "lo", "up"]))
    if not succeeds(inside(layout, ["ip", "link", "show", BRIDGE])):
        run(inside(layout, ["ip", "link", "add", BRIDGE, "type", "bridge"]))
    run(inside(layout, ["ip", "address", "replace", f"{layout.address}/24", "dev", BRIDGE]))
    run(inside(layout, ["ip", "link", "set", BRIDGE, "up"]))
    run(inside(layout, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]))  # this namespace's alone


def remove_network(layout: Layout) -> None:
    """Remove the namespace with all that is in it."""
    if layout.network.exists():
        run(["ip", "netns", "delete", layout.name])


def pod_network(layout: Layout) -> str:
    """The configuration of the plug-ins that give each pod its address.

    Pods have a route to each other and to Services, and no other.
    """
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.folder / "pod-addresses"),
            "ranges": [[{"subnet": layout.pods, "gateway": layout.address}]],
            "routes": [{"dst": layout.services}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": layout.name, "plugins": [bridge]})


def run(command: Command, text: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run a short command with `text` as its input; what it printed.

    Raises:
        StepFailed: with what it said.
    """
    words = [str(part) for part in command]
    done = subprocess.run(words, input=text, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(f"{done.stdout}{done.stderr}\n✗ failed: {' '.join(words)}")
    return done.stdout


def succeeds(command: Command) -> bool:
    """Whether a command ends well."""
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
