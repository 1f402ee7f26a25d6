"""What the accounts of a namespaced installation may not do: the API server itself refuses."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.api import (
    EVENTS,
    JOBS,
    PODS,
    SEARCHES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Api,
    ApiError,
)
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import abandon_namespace, make_namespace
from tests.cluster.installation import Installation, install
from tests.cluster.jobs import job
from tests.cluster.searches import manifest
from tests.seaweed import S3Server

CONFIG_MAPS = "api/v1/configmaps"
ROLES = "apis/rbac.authorization.k8s.io/v1/rolebindings"
CLAIMS = "api/v1/persistentvolumeclaims"


@pytest.fixture(scope="module")
def tenant(cluster: ControlPlane) -> Iterator[str]:
    name = make_namespace(cluster, "tenant")
    yield name
    abandon_namespace(cluster, name)


@pytest.fixture(scope="module")
def installation(cluster: ControlPlane, s3_server: S3Server, tenant: str) -> Installation:
    return install(cluster, s3_server, [tenant])


def refuses(api: Api, resource: str, namespace: str, name: str = "") -> bool:
    with pytest.raises(ApiError) as refusal:
        api.get(resource, namespace, name)
    return refusal.value.status == 403


@pytest.mark.parametrize("resource", [SEARCHES, JOBS, PODS, EVENTS, SECRETS, CONFIG_MAPS])
def test_operator_account_cannot_read_another_namespace(
    installation: Installation, namespaces: Callable[[], str], resource: str
) -> None:
    assert refuses(installation.api, resource, namespaces())
    assert refuses(installation.api, resource, "kube-system")
    assert refuses(installation.api, resource, "")


def test_operator_account_cannot_write_in_another_namespace(
    cluster: ControlPlane, installation: Installation, namespaces: Callable[[], str], tenant: str
) -> None:
    third = namespaces()
    cluster.api.create(manifest("theirs"), third)
    installation.api.create(job("one"), tenant)  # where it may
    for attempt in (
        lambda: installation.api.create(job("one"), third),
        lambda: installation.api.patch(SEARCHES, third, "theirs", {"status": {}}, "status"),
        lambda: installation.api.delete(SEARCHES, third, "theirs"),
    ):
        with pytest.raises(ApiError) as refusal:
            attempt()
        assert refusal.value.status == 403


@pytest.mark.parametrize("resource", [SECRETS, CONFIG_MAPS, SERVICE_ACCOUNTS, CLAIMS, ROLES])
def test_operator_account_cannot_read_secrets_anywhere(
    installation: Installation, tenant: str, resource: str
) -> None:
    for namespace in (tenant, installation.namespace, ""):
        assert refuses(installation.api, resource, namespace)
    assert refuses(installation.api, resource, tenant, "detnas-trainer-s3")


def test_operator_account_cannot_become_another(installation: Installation, tenant: str) -> None:
    (account,) = [t["serviceAccount"] for t in installation.settings["tenants"]]
    paths = (
        f"api/v1/namespaces/{tenant}/serviceaccounts/{account}/token",
        f"api/v1/namespaces/{tenant}/pods",
        f"api/v1/namespaces/{tenant}/pods/any/exec",
        f"apis/rbac.authorization.k8s.io/v1/namespaces/{tenant}/rolebindings",
        f"apis/detnas.dev/v1alpha1/namespaces/{tenant}/detnassearches",
    )
    for path in paths:
        with pytest.raises(ApiError) as refusal:
            installation.api.request("POST", path, {})
        assert refusal.value.status == 403, path


def test_trainer_account_may_do_nothing(
    cluster: ControlPlane, installation: Installation, tenant: str
) -> None:
    (account,) = [t["serviceAccount"] for t in installation.settings["tenants"]]
    api = cluster.caller(tenant, account)
    for resource in (SEARCHES, JOBS, PODS, SECRETS, EVENTS, CONFIG_MAPS, SERVICE_ACCOUNTS):
        assert refuses(api, resource, tenant)
    found = cluster.api.get(SERVICE_ACCOUNTS, tenant, account)
    assert found["automountServiceAccountToken"] is False
