"""`detnas doctor --cluster` on a real API server, with the chart's roles and a user's rights."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from detnas.resource.definition import custom_resource_definition
from detnas_operator.doctor.definition import compared
from tests.cluster.api import Api, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import Installation
from tests.cluster.searches import manifest
from tests.ports import free_ports

GPU = "nvidia.com/gpu"
COMMAND = [sys.executable, "-c", "from detnas.cli import main; main()", "doctor", "--cluster"]
CLAIMS, QUOTAS = "api/v1/persistentvolumeclaims", "api/v1/resourcequotas"
DEPLOYMENTS, NODES = "apis/apps/v1/deployments", "api/v1/nodes"

Findings = dict[str, dict[str, Any]]
Doctor = Callable[..., tuple[int, Findings]]


@pytest.fixture
def doctor(cluster: ControlPlane, tmp_path: Path) -> Doctor:
    """Run it in a namespace; return the exit code, and the findings by what was checked."""

    def run(
        namespace: str, kubeconfig: Path | None = None, *words: str, **sections: Any
    ) -> tuple[int, Findings]:
        path = tmp_path / "search.yaml"
        path.write_text(yaml.safe_dump(manifest("one", sections)))
        done = subprocess.run(
            [*COMMAND, "-n", namespace, str(path), *words, "-o", "json"],
            env={**os.environ, "KUBECONFIG": str(kubeconfig or cluster.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)["findings"]
        return done.returncode, {one["what"]: one for one in found}

    return run


@pytest.fixture(autouse=True)
def _no_other_nodes(cluster: ControlPlane) -> None:
    """Remove nodes that earlier tests of this worker have left; they make their own again."""
    for left in cluster.api.list(NODES):
        cluster.api.delete(NODES, "", left["metadata"]["name"])


@pytest.fixture
def node(cluster: ControlPlane) -> Iterator[str]:
    """A ready node with four GPUs."""
    name = "doctors-node"
    cluster.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True"}
    status = {"conditions": [ready], "allocatable": {GPU: "4"}, "capacity": {GPU: "4"}}
    cluster.api.patch(NODES, "", name, {"status": status}, "status")
    yield name
    cluster.api.delete(NODES, "", name)


@pytest.fixture
def deployed(cluster: ControlPlane, installation: Installation) -> Iterator[Installation]:
    """The operator's Deployment, available, with the configuration that the chart gives it."""
    maps = cluster.api.list("api/v1/configmaps", installation.namespace)
    name = next(one["metadata"]["name"] for one in maps if "operator.yaml" in one["data"])
    labels = {
        "app.kubernetes.io/part-of": "detnas",
        "app.kubernetes.io/component": "operator",
        "app.kubernetes.io/version": "9.9",
    }
    pod = {
        "containers": [{"name": "operator", "image": "registry.test/operator"}],
        "volumes": [{"name": "config", "configMap": {"name": name}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "detnas", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    cluster.api.apply(document, installation.namespace)
    status = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    cluster.api.patch(DEPLOYMENTS, installation.namespace, "detnas", {"status": status}, "status")
    yield installation
    cluster.api.delete(DEPLOYMENTS, installation.namespace, "detnas")


def make_claim(cluster: ControlPlane, namespace: str, phase: str) -> None:
    spec = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    cluster.api.apply({**claim, "spec": spec}, namespace)
    cluster.api.patch(CLAIMS, namespace, "data", {"status": {"phase": phase}}, "status")


def verdicts(found: Findings, verdict: str) -> list[str]:
    return [what for what, one in found.items() if one["verdict"] == verdict]


@pytest.mark.usefixtures("node")
def test_an_administrator_sees_that_all_is_ready(
    doctor: Doctor, cluster: ControlPlane, namespace: str, deployed: Installation
) -> None:
    make_claim(cluster, namespace, "Bound")
    code, found = doctor(namespace)
    assert (code, verdicts(found, "fault"), verdicts(found, "warning")) == (0, [], [])
    assert found[f"operator {deployed.namespace}/detnas"]["found"] == "9.9 runs"
    assert found[f"namespace {namespace}"]["found"] == "the operator runs searches there"
    assert sum(one["found"] == "exists" for one in found.values()) == 2  # account and Secret
    assert found["its version"]["found"] == "v1alpha1, with every field of this detnas"
    assert found[f"nodes with {GPU}"]["found"].startswith("1, with 4 together")


@pytest.mark.usefixtures("deployed")
def test_each_shortage_is_a_fault_with_its_remedy(
    doctor: Doctor, cluster: ControlPlane, namespace: str
) -> None:
    hard = {f"requests.{GPU}": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    cluster.api.apply({**quota, "spec": {"hard": hard}}, namespace)
    code, found = doctor(
        namespace, evaluation={"gpus": 2}, storage={"uri": "s3://elsewhere/prefix"}
    )
    assert code == 1
    assert "one job requests 2" in found["ResourceQuota few"]["found"]
    assert "device plugin" in found[f"nodes with {GPU}"]["remedy"]
    claim = found[f"PersistentVolumeClaim {namespace}/data"]
    assert (claim["verdict"], claim["found"]) == ("fault", "does not exist")
    assert "s3://elsewhere/prefix" in found["store"]["found"]


@pytest.mark.usefixtures("node", "deployed")
def test_few_gpus_for_all_jobs_are_a_warning(
    doctor: Doctor, cluster: ControlPlane, namespace: str
) -> None:
    make_claim(cluster, namespace, "Pending")
    code, found = doctor(namespace, search={"trials": 9, "parallelism": 8})
    assert code == 0
    assert set(verdicts(found, "warning")) == {
        f"nodes with {GPU}",
        f"PersistentVolumeClaim {namespace}/data",
    }


@pytest.mark.usefixtures("deployed")
def test_a_namespace_without_searches_is_a_fault(
    doctor: Doctor, namespaces: Callable[[], str]
) -> None:
    other = namespaces()
    _, found = doctor(other)
    assert "chart's namespaces" in found[f"namespace {other}"]["remedy"]


def test_a_cluster_without_the_operator_is_told_so(doctor: Doctor, namespace: str) -> None:
    code, found = doctor(namespace, None, "--pod")
    assert code == 1
    assert found["pod"]["found"].startswith("not tried")
    assert "helm install" in found["operator"]["remedy"]


@pytest.mark.usefixtures("deployed")
def test_what_a_user_may_not_read_is_no_fault(
    doctor: Doctor,
    cluster: ControlPlane,
    installation: Installation,
    namespace: str,
    tmp_path: Path,
) -> None:
    bind_editor(cluster, installation, namespace)
    kubeconfig = user(cluster, namespace).kubeconfig(tmp_path / "user.kubeconfig")
    _, found = doctor(namespace, kubeconfig)
    what = f"may create, get, list, watch, patch, delete detnassearches in {namespace}"
    assert found[what]["verdict"] == "ok"
    assert found["CRD detnassearches.detnas.dev is served"]["verdict"] == "ok"
    hidden = ["its version", "operator", "quotas", f"nodes with {GPU}"]
    assert [found[one]["verdict"] for one in hidden] == ["warning"] * 4
    assert all(found[one]["found"].startswith("cannot be told") for one in hidden)
    assert found[f"may get, list pods in {namespace}"]["verdict"] == "warning"


def user(cluster: ControlPlane, namespace: str) -> Api:
    """A caller of its own, without any rights."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "user"}}
    cluster.api.apply(account, namespace)
    return cluster.caller(namespace, "user")


def bind_editor(cluster: ControlPlane, installation: Installation, namespace: str) -> None:
    """Give that caller the chart's role for editors of searches."""
    roles = cluster.api.list("apis/rbac.authorization.k8s.io/v1/clusterroles")
    names = (one["metadata"]["name"] for one in roles)
    role = next(one for one in names if installation.namespace in one and one.endswith("-editor"))
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "user"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "user", "namespace": namespace}],
    }
    cluster.api.apply(binding, namespace)


def test_a_user_without_rights_is_told_who_grants_them(
    doctor: Doctor, cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = user(cluster, namespace).kubeconfig(tmp_path / "user.kubeconfig")
    code, found = doctor(namespace, kubeconfig)
    assert code == 1
    what = f"may create, get, list, watch, patch, delete detnassearches in {namespace}"
    assert "role edit" in found[what]["remedy"]


def test_an_api_server_that_does_not_answer_is_a_fault(
    doctor: Doctor, cluster: ControlPlane, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    text = cluster.kubeconfig.read_text().replace(cluster.api.server, f"https://127.0.0.1:{port}")
    kubeconfig = tmp_path / "wrong.kubeconfig"
    kubeconfig.write_text(text)
    code, found = doctor("default", kubeconfig)
    assert code == 1
    assert list(found) == ["Kubernetes API"]


def test_fields_that_the_cluster_does_not_know_are_named() -> None:
    older: Document = custom_resource_definition()
    spec = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert compared("its version", older).verdict == "ok"
    del spec["properties"]["baselines"]
    found = compared("its version", older)
    assert found.verdict == "warning"
    assert "spec.baselines" in found.found
