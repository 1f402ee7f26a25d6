"""Every check of a cluster, one after the other."""

import os
from collections.abc import Iterator
from pathlib import Path

from detnas.errors import UserError
from detnas.findings import Finding, doubtful, good, refused
from detnas.reasons import Reason
from detnas.spec import DetNASSearch
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
from detnas_operator.doctor.trial_pod import PodTrial, trial_pod

_USERS = Path(".kube") / "config"


def cluster_findings(
    namespace: str, search: DetNASSearch | None, *, with_pod: bool = False
) -> Iterator[Finding]:
    """Check whether a search could run in a namespace.

    Args:
        namespace: of it.
        search: without one only what every search needs is checked.
        with_pod: also run a pod as a job's.
    """
    spec = search.spec if search is not None else None
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
    if with_pod and search is not None:
        yield from _of_pod(client, search, installed)


def _of_pod(
    client: KubernetesClient, search: DetNASSearch, installed: Installed
) -> Iterator[Finding]:
    settings, tenant = installed.settings, installed.tenant
    if settings is None or tenant is None:
        yield doubtful(
            "pod", "not tried: the operator's configuration is unknown", "ask an administrator"
        )
        return
    pod = trial_pod(search, installed.namespace, settings, tenant)
    if not isinstance(pod, Reason):  # else the store was a fault above
        yield from PodTrial(client, installed.namespace).findings(pod)


def _connection() -> Connection:
    """As kubectl connects: by ``KUBECONFIG``, else the user's file, else the pod's account."""
    users = Path.home() / _USERS
    if "KUBECONFIG" not in os.environ and users.is_file():
        os.environ["KUBECONFIG"] = str(users)
    return connect(connections=1)
