"""The network of a node: a namespace without a way out, a bridge for pods, Services and DNS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

from tools.node.control_plane import ControlPlane
from tools.node.daemons import Daemons, Layout, inside
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


_COREFILE = """cluster.local:53 in-addr.arpa:53 {{
  bind {address}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    ttl 1
  }}
}}
.:53 {{
  bind {address}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""


def start_services(plane: ControlPlane) -> None:
    """Start both; pods wait for what they need of them."""
    layout = plane.layout
    daemons = Daemons(layout)
    # Rewriting a file that kube-proxy has read would end it.
    if not daemons.is_running("kube-proxy"):
        file = layout.configuration / "kube-proxy.json"
        file.write_text(json.dumps(proxy_configuration(layout)), encoding="utf-8")
        daemons.start("kube-proxy", [plane.binaries["kube-proxy"], f"--config={file}"])
    corefile = layout.configuration / "Corefile"
    kubeconfig = layout.kubeconfig("coredns")
    corefile.write_text(
        _COREFILE.format(address=layout.address, kubeconfig=kubeconfig), encoding="utf-8"
    )
    daemons.start("coredns", [plane.binaries["coredns"], "-conf", corefile])


def proxy_configuration(layout: Layout) -> dict[str, object]:
    """kube-proxy's configuration: by nftables, in the node's network namespace alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": "127.0.0.1",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "hostnameOverride": layout.name,
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("kube-proxy"))},
        "clusterCIDR": layout.pods,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nodePortAddresses": [layout.pods],
    }
