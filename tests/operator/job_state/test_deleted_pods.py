"""Jobs and pods that somebody deletes: what is said of them, and what is not done to others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.cluster import Conflict, KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.connection import connect
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.job_state.state import Waiting
from detnas_operator.lookups.pod_lookup import PodLookup
from detnas_operator.reconcile.active_jobs import job_states
from detnas_operator.search_jobs.jobs import SearchJobs
from tests.cluster.admission import QUOTAS, forbid
from tests.cluster.api import EVENTS, JOBS, PODS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually
from tests.operator.job.on_cluster import Tenancy, tenancy


@pytest.fixture
def tenant(cluster: ControlPlane, namespace: str) -> Tenancy:
    return tenancy(cluster.api, namespace)


@pytest.fixture
def jobs(tenant: Tenancy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchJobs:
    """The Jobs of its search, as the operator looks at them."""
    monkeypatch.setenv("KUBECONFIG", str(tenant.api.kubeconfig(tmp_path / "kubeconfig")))
    client, owner = KubernetesClient(connect(1)), tenant.owner
    return SearchJobs(client, ClusterCache(), SearchKey(owner.namespace, owner.name), owner.uid)


def wait_of(jobs: SearchJobs, name: str) -> Waiting:
    """How a Job that runs no pod is found a minute from now."""
    jobs.list_again()
    found, later = jobs.all(), datetime.now(UTC) + timedelta(minutes=1)
    lookup = PodLookup(jobs.client)
    seen = lookup.look_up(jobs.key.namespace, found.values())
    state = job_states(found, seen, {}, later)[name]
    assert isinstance(state, Waiting)
    return state


def test_refusal_of_pods_lasts_until_one_is_created(tenant: Tenancy, jobs: SearchJobs) -> None:
    forbid(tenant.api, tenant.namespace, "pods")
    job = tenant.create()
    eventually(
        lambda: tenant.api.list(EVENTS, tenant.namespace, fieldSelector="reason=FailedCreate")
    )
    refused = wait_of(jobs, job)
    assert refused.code is ReasonCode.QUOTA_EXCEEDED
    assert "exceeded quota" in refused.message

    tenant.api.delete(QUOTAS, tenant.namespace, "limits")
    (pod,) = tenant.pods_when(job, 1)
    tenant.api.delete(PODS, tenant.namespace, pod["metadata"]["name"])
    tenant.end(pod, 75)  # as its node does once it is deleted
    eventually(lambda: not tenant.pods(job), 30)
    deleted = wait_of(jobs, job)
    assert deleted.code is ReasonCode.RETRYING
    assert "no event says that it is refused" in deleted.message


def test_job_created_again_under_its_name_is_not_changed_for_the_earlier_one(
    tenant: Tenancy, jobs: SearchJobs
) -> None:
    name = tenant.create()
    jobs.list_again()
    tenant.api.delete(JOBS, tenant.namespace, name)
    eventually(lambda: not tenant.api.list(JOBS, tenant.namespace))
    tenant.create()
    before = tenant.api.get(JOBS, tenant.namespace, name)

    jobs.expire(name, 60)  # an error is logged
    with pytest.raises(Conflict):
        jobs.postpone_expiry(name)
    after = tenant.api.get(JOBS, tenant.namespace, name)
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert after["spec"] == before["spec"]
