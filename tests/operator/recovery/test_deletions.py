"""A search being deleted reports what delays it, stops its Jobs, and retains what it should."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from detnas_operator.search_jobs import remaining_pods
from tests.cluster.api import Document
from tests.cluster.played_pod import PlayedPod
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.in_process import InProcessReconciler
from tests.operator.harness.search import Search

FINALIZER = "detnas.dev/delete-data"
FOREIGN = "example.org/backup"
SHORT_GRACE = {"terminationGracePeriodSeconds": 1}


def run_to_base(harness: ProxiedHarness, on_delete: str, **spec: Any) -> Search:
    """Create a search whose base is trained without end, and wait until it is."""
    search = harness.begin("one", {"storage": {"onDelete": on_delete}, **spec})
    harness.operator.start()
    search.until_training("-base")
    return search


@pytest.fixture
def base_for_ever(proxied: ProxiedHarness) -> InTurn:
    behaviour = InTurn(proxied.trainer, last=1, may_end=lambda pod: pod.job != "one-base")
    proxied.play(behaviour)
    return behaviour


@pytest.mark.usefixtures("base_for_ever")
def test_deleted_search_reports_an_absent_store_and_its_data_goes_once_it_is_back(
    proxied: ProxiedHarness,
) -> None:
    search = run_to_base(proxied, "Delete")
    proxied.s3.go_down()
    search.delete()
    search.until_condition("Degraded", "True", "StoreUnavailable")
    assert "deletionTimestamp" in search.resource["metadata"]
    search.until(lambda: not search.job("-base"))
    proxied.s3.come_up()
    search.until_gone()
    assert not list(search.store.list(f"{search.folder}/"))


@pytest.mark.usefixtures("base_for_ever")
def test_deleted_search_retains_its_data_if_that_was_changed_last(proxied: ProxiedHarness) -> None:
    search = run_to_base(proxied, "Delete")
    proxied.operator.stop()
    search.patch(storage={"onDelete": "Retain"})
    search.delete()
    assert search.resource["metadata"]["finalizers"] == [FINALIZER]
    proxied.operator.start()
    search.until_gone()
    assert search.text("search.json")


@pytest.mark.usefixtures("base_for_ever")
def test_deleted_search_stops_its_jobs_although_a_foreign_finalizer_keeps_it(
    proxied: ProxiedHarness,
) -> None:
    search = run_to_base(proxied, "Retain")
    search.patch_resource({"metadata": {"finalizers": [FOREIGN]}})
    search.delete()
    search.until(lambda: not search.job("-base"))
    assert search.resource["metadata"]["finalizers"] == [FOREIGN]
    search.patch_resource({"metadata": {"finalizers": None}})
    search.until_gone()


def test_deleted_search_names_a_pod_that_does_not_stop_and_retains_its_data(
    proxied: ProxiedHarness, base_for_ever: InTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remaining_pods, "DELETION_PATIENCE", timedelta(0))
    node_is_gone = threading.Event()

    async def outlive_deletion(pod: PlayedPod) -> None:
        try:
            await base_for_ever(pod)(pod)
        finally:
            await asyncio.to_thread(node_is_gone.wait)

    proxied.play(lambda pod: outlive_deletion if pod.job == "one-base" else base_for_ever(pod))
    search = run_to_base(proxied, "Delete", jobs=SHORT_GRACE)
    proxied.operator.stop()
    reconciler = InProcessReconciler(proxied, search, monkeypatch)

    def pods_stopping() -> Document | None:
        reconciler.reconcile()
        condition = search.condition("Degraded")
        return condition if condition["reason"] == "PodsStopping" else None

    try:
        search.delete()
        message = search.until(pods_stopping)["message"]
        (pod,) = search.live_pods()
        assert f"pod {pod['metadata']['name']} on node {pod['spec']['nodeName']}" in message
        assert "kubectl delete pod" in message
        assert search.text("search.json")
    finally:
        node_is_gone.set()
    search.until(lambda: reconciler.reconcile() is None)
    assert not search.exists
    assert not list(search.store.list(f"{search.folder}/"))
