"""An operator that watches every namespace makes Jobs only where the administrator lets it."""

from collections.abc import Callable

import pytest

from tests.cluster.api import JOBS, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.cluster.waiting import eventually
from tests.operator.tenancy.scene import apply, condition, wait_until_over, wait_until_said
from tests.seaweed import S3Server

BINDINGS = "apis/rbac.authorization.k8s.io/v1/rolebindings"
OTHERS = {"allowed": True, "credentialsSecret": ""}


@pytest.fixture
def spaces(namespaces: Callable[[], str]) -> tuple[str, str]:
    """A namespace that the chart lists, and one that it does not."""
    return namespaces(), namespaces()


def test_a_search_in_a_namespace_that_is_not_listed_is_refused_with_a_reason(
    cluster: ControlPlane,
    s3_server: S3Server,
    spaces: tuple[str, str],
    play_pods: Callable[[Behaviour], PodPlayer],
    operators: Callable[..., OperatorProcess],
) -> None:
    listed, other = spaces
    play_pods(Scripts(succeeds(work=PretendedTrainer(s3_server))))
    installation = install(cluster, s3_server, [listed], {"clusterWide": True})
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "one"}}
    for namespace in (other, "kube-system", installation.namespace):
        with pytest.raises(ApiError, match="403"):
            installation.api.create(job, namespace)
    operators(installation).start()
    for namespace in spaces:
        apply(cluster, namespace, "one")
    refused = wait_until_said(cluster, other, "one", "Accepted", ("False",))
    assert refused["reason"] == "CredentialsMissing"
    assert other in refused["message"]
    assert "the chart's value namespaces" in refused["message"]
    assert wait_until_over(cluster, listed, "one")["phase"] == "Succeeded"
    assert cluster.api.list(JOBS, other) == []


def test_without_a_binding_a_search_elsewhere_says_which_right_is_missing(
    cluster: ControlPlane,
    s3_server: S3Server,
    spaces: tuple[str, str],
    operators: Callable[..., OperatorProcess],
) -> None:
    listed, other = spaces
    values = {"clusterWide": True, "otherNamespaces": OTHERS}
    operator = operators(install(cluster, s3_server, [listed], values))
    operator.start()
    apply(cluster, other, "one")
    told = wait_until_said(cluster, other, "one", "Degraded", ("True",))
    assert told["reason"] == "AdmissionRefused"
    assert 'cannot create resource "jobs"' in told["message"]
    assert "upgrade the release, which binds the role" in told["message"]
    labels = f'namespace="{other}",reason="AdmissionRefused",search="one"'
    assert operator.figure(f"detnas_search_degraded{{{labels}}}") == 1
    assert cluster.api.list(JOBS, other) == []


def test_jobs_of_a_namespace_that_is_listed_no_longer_are_named(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespace: str,
    operators: Callable[..., OperatorProcess],
) -> None:
    """The right to stop them went with the namespace's entry in the chart's values."""
    installation = install(cluster, s3_server, [namespace], {"clusterWide": True})
    operator = operators(installation)
    operator.start()
    apply(cluster, namespace, "one")
    eventually(lambda: cluster.api.list(JOBS, namespace))
    labels = f"app.kubernetes.io/instance={installation.namespace}"
    (binding,) = cluster.api.list(BINDINGS, namespace, labelSelector=labels)
    cluster.api.delete(BINDINGS, namespace, binding["metadata"]["name"])
    operator.kill()
    operator.settings["tenants"] = []
    operator.start()

    def told() -> bool:
        said = condition(cluster, namespace, "one", "Degraded").get("message", "")
        return "one-prepare" in said and 'cannot delete resource "jobs"' in said

    eventually(told)
    assert condition(cluster, namespace, "one", "Accepted")["reason"] == "CredentialsMissing"
