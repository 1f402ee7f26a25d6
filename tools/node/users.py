"""Who may talk to the API server: a token each, since nobody outside the namespace can."""

from __future__ import annotations

import json

from tools.node.layout import Layout

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
