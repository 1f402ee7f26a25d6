"""The control plane of a node: etcd, API server, controllers, scheduler, and its users."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.node.daemons import Daemons, Layout, inside
from tools.process import Command

KUBELET_GROUP = "system:nodes"
# User's file to its name and groups. The names are those that Kubernetes' own roles are bound to.
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:{node}", KUBELET_GROUP),
    "coredns": ("coredns", "system:masters"),
}


def token_file(layout: Layout) -> str:
    """The API server's list of tokens, users and groups."""
    return "".join(
        f'{_token(user)},{name.format(node=layout.name)},{user},"{groups}"\n'
        for user, (name, groups) in USERS.items()
    )


def write_kubeconfigs(layout: Layout) -> None:
    """Write for each user how it reaches the API server."""
    for user in USERS:
        file = layout.kubeconfig(user)
        file.touch(mode=0o600)
        file.write_text(_kubeconfig(layout, user), encoding="utf-8")


def _kubeconfig(layout: Layout, user: str) -> str:
    cluster = {"server": layout.server, "certificate-authority": str(layout.certificate)}
    context = {"cluster": layout.name, "user": user}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": layout.name, "cluster": cluster}],
            "users": [{"name": user, "user": {"token": _token(user)}}],
            "contexts": [{"name": layout.name, "context": context}],
            "current-context": layout.name,
        }
    )


def _token(user: str) -> str:
    return f"token-of-{user}"


PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_ETCD = "http://127.0.0.1:2379"
_PEER = "http://127.0.0.1:2380"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The control plane of the node at `layout`; `binaries` has a program for each name."""

    layout: Layout
    binaries: Mapping[str, Path]

    def start(self) -> None:
        """Start all of it and wait until Jobs are handled.

        Raises:
            StepFailed: a part did not start; with the end of its log.
        """
        daemons = Daemons(self.layout)
        (self.layout.configuration / "tokens.csv").write_text(
            token_file(self.layout), encoding="utf-8"
        )
        write_kubeconfigs(self.layout)
        daemons.start("etcd", self.command("etcd", self._etcd()))
        daemons.start("kube-apiserver", self.command("kube-apiserver", self._api_server()))
        daemons.wait_until("kube-apiserver", lambda: self.answers("get", "--raw", "/readyz"))
        for name, options in (
            ("kube-controller-manager", self._controller_manager()),
            ("kube-scheduler", self._scheduler()),
        ):
            daemons.start(name, self.command(name, options))
        daemons.wait_until(
            "kube-controller-manager",
            lambda: self.answers("get", "serviceaccount", "default", "--namespace=default"),
        )

    def kubectl(self, *arguments: str | Path) -> list[str]:
        """The command that runs `kubectl` as the administrator."""
        kubeconfig = f"--kubeconfig={self.layout.kubeconfig()}"
        return inside(self.layout, [self.binaries["kubectl"], kubeconfig, *arguments])

    def answers(self, *arguments: str) -> bool:
        """Whether `kubectl` ends well."""
        command = self.kubectl("--request-timeout=10s", *arguments)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def command(self, name: str, options: Mapping[str, object]) -> Command:
        """The command that runs the program `name` with these options."""
        return [self.binaries[name], *(f"--{key}={value}" for key, value in options.items())]

    def _etcd(self) -> dict[str, object]:
        return {
            "data-dir": self.layout.folder / "etcd",
            "listen-client-urls": _ETCD,
            "advertise-client-urls": _ETCD,
            "listen-peer-urls": _PEER,
            "initial-advertise-peer-urls": _PEER,
            "initial-cluster": f"default={_PEER}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _api_server(self) -> dict[str, object]:
        # It makes its own certificate, whose key also signs the tokens of service accounts.
        key = self.layout.certificate.with_suffix(".key")
        return {
            "etcd-servers": _ETCD,
            "bind-address": self.layout.address,
            "advertise-address": self.layout.address,  # the endpoint of Service `kubernetes`
            "secure-port": self.layout.api_port,
            "cert-dir": self.layout.certificate.parent,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "token-auth-file": self.layout.configuration / "tokens.csv",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": self.layout.services,
            "kubelet-preferred-address-types": "InternalIP",
            "profiling": "false",
        }

    def _controller_manager(self) -> dict[str, object]:
        return {
            **self._client("kube-controller-manager"),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self.layout.certificate.with_suffix(".key"),
            "root-ca-file": self.layout.certificate,
            "cert-dir": self.layout.folder / "certificates" / "kube-controller-manager",
            "flex-volume-plugin-dir": self.layout.folder / "volume-plugins",
        }

    def _scheduler(self) -> dict[str, object]:
        folder = self.layout.folder / "certificates" / "kube-scheduler"
        return {**self._client("kube-scheduler"), "cert-dir": folder}

    def _client(self, user: str) -> dict[str, object]:
        kubeconfig = self.layout.kubeconfig(user)
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "profiling": "false",
        }
