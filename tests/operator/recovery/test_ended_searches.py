"""Nothing is kept or read of a search that has ended, until it is changed."""

import pytest

from tests.cluster.api import JOBS
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.in_process import InProcessReconciler
from tests.operator.harness.search import Search


@pytest.fixture
def ended(proxied: ProxiedHarness) -> Search:
    """A search that has succeeded; the operator has stopped."""
    proxied.play(InTurn(proxied.trainer, last=1))
    search = proxied.begin("one")
    proxied.operator.start()
    search.until_phase("Succeeded")
    search.until_settled()
    proxied.operator.stop()
    return search


@pytest.fixture
def reconciler(
    proxied: ProxiedHarness, ended: Search, monkeypatch: pytest.MonkeyPatch
) -> InProcessReconciler:
    """A reconciler as after a restart of the operator."""
    return InProcessReconciler(proxied, ended, monkeypatch)


def test_reconciler_reads_an_ended_search_once(
    ended: Search, reconciler: InProcessReconciler
) -> None:
    first, until_idle = reconciler.store_requests(), reconciler.until_idle()
    status, later = ended.status, [reconciler.store_requests() for _ in range(3)]
    print(f"requests to S3: first pass {first}, until idle {until_idle}, later ones {later}")
    assert first > 0
    assert until_idle == 0
    assert later == [0, 0, 0]
    assert not reconciler.keeps_search()
    assert ended.status == status


def test_reconciler_follows_a_change_of_an_ended_search(
    ended: Search, reconciler: InProcessReconciler
) -> None:
    reconciler.until_idle()
    ended.patch(storage={"onDelete": "Delete"})
    reconciler.reconcile()
    assert ended.resource["metadata"]["finalizers"] == ["detnas.dev/delete-data"]
    ended.patch_resource({"metadata": {"finalizers": None}})
    reconciler.reconcile()
    assert ended.resource["metadata"]["finalizers"] == ["detnas.dev/delete-data"]
    ended.patch(search={"trials": 3})
    reconciler.reconcile()
    assert ended.job("-t0002")
    assert reconciler.keeps_search()


def test_reconciler_lets_a_job_expire_that_it_could_not_before(
    ended: Search, reconciler: InProcessReconciler
) -> None:
    """Kubernetes deletes a Job only once its time to live is set."""
    reconciler.until_idle()
    never = {"spec": {"ttlSecondsAfterFinished": None}}
    ended.harness.cluster.api.patch(JOBS, ended.namespace, "one-base", never)
    assert reconciler.store_requests() > 0
    assert ended.jobs()["one-base"]["spec"]["ttlSecondsAfterFinished"] == 3600
    reconciler.until_idle()
