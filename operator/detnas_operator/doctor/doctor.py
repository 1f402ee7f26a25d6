"""Every check of a cluster, one after the other."""

import os
from collections.abc import Iterator
from pathlib import Path

from detnas.errors import UserError
from detnas.findings import Finding, good, refused
from detnas.spec.manifest import SearchSpec
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.connection import Connection, Request, connect
from detnas_operator.doctor.definition import definition_findings
from detnas_operator.doctor.installed import Installed, operator_findings
from detnas_operator.doctor.namespace import (
    data_findings,
    quota_findings,
    right_findings,
    tenant_findings,
)
from detnas_operator.doctor.needs import needs_of
from detnas_operator.doctor.nodes import node_findings

_USERS = Path(".kube") / "config"


def cluster_findings(namespace: str, spec: SearchSpec | None) -> Iterator[Finding]:
    """Check whether a search could run in a namespace.

    Args:
        namespace: of it.
        spec: of the search; without one only what every search needs is checked.
    """
    try:
        client = KubernetesClient(_connection())
        answer = client.connection.send(Request("GET", "/version")).json()
    except UserError as error:
        yield refused("Kubernetes API", error)
        return
    yield good("Kubernetes API", str(answer.get("gitVersion", "answers")))
    yield from definition_findings(client, namespace)
    yield from right_findings(client, namespace)
    installed = Installed(namespace)
    yield from operator_findings(client, installed)
    yield from tenant_findings(client, namespace, installed)
    needs = needs_of(spec, installed.settings)
    yield from quota_findings(client, namespace, needs)
    yield from node_findings(client, needs)
    if spec is not None:
        yield from data_findings(client, namespace, spec, installed)


def _connection() -> Connection:
    """As kubectl connects: by ``KUBECONFIG``, else the user's file, else the pod's account."""
    users = Path.home() / _USERS
    if "KUBECONFIG" not in os.environ and users.is_file():
        os.environ["KUBECONFIG"] = str(users)
    return connect(connections=1)
