"""Where the parts of a node lie: its folder, addresses, ports and names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LONGEST_SOCKET = 100  # a path to a socket may have 107 bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of the node `name`.

    All addresses exist only inside the node's network namespace, so several nodes may use the
    same ones.
    """

    name: str = "detnas-e2e"
    subnet: str = "10.244.77"
    services: str = "10.97.0.0/16"
    api_port: int = 6443

    @property
    def folder(self) -> Path:
        """All that the node writes; removed with it."""
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "detnas" / "node" / self.name

    @property
    def network(self) -> Path:
        """The network namespace, as `ip netns` keeps it."""
        return Path("/run/netns") / self.name

    @property
    def address(self) -> str:
        """Of the node, on the bridge that its pods share."""
        return f"{self.subnet}.1"

    @property
    def pods(self) -> str:
        """Addresses of the pods."""
        return f"{self.subnet}.0/24"

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def configuration(self) -> Path:
        """Files that the programs are told to read."""
        return self.folder / "conf"

    @property
    def logs(self) -> Path:
        """Output of the programs."""
        return self.folder / "log"

    @property
    def certificate(self) -> Path:
        """Of the API server, which makes it for itself."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "run" / "containerd.sock"

    def kubeconfig(self, user: str = "admin") -> Path:
        """How `user` reaches the API server."""
        return self.configuration / f"{user}.kubeconfig"
