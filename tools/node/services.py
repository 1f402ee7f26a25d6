"""Services of a node's cluster: kube-proxy, and CoreDNS as a plain process on the bridge."""

from __future__ import annotations

import json

from tools.node.control_plane import ControlPlane
from tools.node.daemons import Daemons
from tools.node.layout import Layout

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
