"""An operator that watches every namespace makes Jobs only where the administrator lets it."""

from collections.abc import Callable

import pytest

from tests.cluster.api import ApiError
from tests.cluster.jobs import job
from tests.cluster.scripts import runs_for_ever
from tests.operator.harness.fixtures import MakeHarness

BINDINGS = "apis/rbac.authorization.k8s.io/v1/rolebindings"
OTHERS = {"allowed": True, "credentialsSecret": ""}


@pytest.fixture
def spaces(namespaces: Callable[[], str]) -> tuple[str, str]:
    """A namespace that the chart lists, and one that it does not."""
    return namespaces(), namespaces()


def test_search_in_an_unlisted_namespace_is_refused_with_a_reason(
    make_harness: MakeHarness, spaces: tuple[str, str]
) -> None:
    listed, other = spaces
    harness = make_harness([listed], values={"clusterWide": True})
    for namespace in (other, "kube-system", harness.installation.namespace):
        with pytest.raises(ApiError, match="403"):
            harness.installation.api.create(job("one"), namespace)
    harness.operator.start()
    accepted, refused = (harness.begin("one", namespace=space) for space in spaces)
    message = refused.until_condition("Accepted", "False", "CredentialsMissing")["message"]
    assert other in message
    assert "the chart's value namespaces" in message
    accepted.until_phase("Succeeded")
    assert refused.jobs() == {}


def test_search_in_an_unlisted_namespace_names_the_right_that_a_missing_binding_would_give(
    make_harness: MakeHarness, spaces: tuple[str, str]
) -> None:
    listed, other = spaces
    harness = make_harness([listed], values={"clusterWide": True, "otherNamespaces": OTHERS})
    harness.operator.start()
    search = harness.begin("one", namespace=other)
    message = search.until_condition("Degraded", "True", "AdmissionRefused")["message"]
    assert 'cannot create resource "jobs"' in message
    assert "upgrade the release, which binds the role" in message
    labels = f'namespace="{other}",reason="AdmissionRefused",search="one"'
    assert harness.operator.figure(f"detnas_search_degraded{{{labels}}}") == 1
    assert search.jobs() == {}


def test_search_in_a_namespace_no_longer_listed_names_the_jobs_that_cannot_be_stopped(
    make_harness: MakeHarness, namespace: str
) -> None:
    """The right to stop them went with the namespace's entry in the chart's values."""
    harness = make_harness([namespace], values={"clusterWide": True})
    harness.on("one-prepare", runs_for_ever())
    harness.operator.start()
    search = harness.begin("one")
    search.until(search.jobs)
    labels = f"app.kubernetes.io/instance={harness.installation.namespace}"
    api = harness.cluster.api
    (binding,) = api.list(BINDINGS, namespace, labelSelector=labels)
    api.delete(BINDINGS, namespace, binding["metadata"]["name"])
    harness.operator.kill()
    harness.operator.settings["tenants"] = []
    harness.operator.start()

    def names_the_job() -> bool:
        message = search.condition("Degraded")["message"]
        return "one-prepare" in message and 'cannot delete resource "jobs"' in message

    search.until(names_the_job)
    assert search.condition("Accepted")["reason"] == "CredentialsMissing"
