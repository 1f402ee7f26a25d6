"""A deleted search leaves no pod running; its data is deleted only on request, and after them."""

import asyncio
import threading
import time

from tests.cluster.api import Document
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.scripts import succeeds
from tests.operator.harness.behaviours import leaves_a_checkpoint
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

NAMESPACES = 4
FINALIZER = "detnas.dev/delete-data"
STOPPING_SECONDS = 3.0
"""The operator looks every two seconds whether the last pod has ended."""


def test_deleted_search_goes_at_once_with_its_jobs_and_leaves_its_data(harness: Harness) -> None:
    harness.on("going-t0000", leaves_a_checkpoint(harness.trainer))
    search = harness.begin("going", trials=1)
    search.until_runs("-t0000")
    assert _finalizers(search) == []
    search.delete()
    search.until_gone()
    search.until(lambda: not _objects(search))
    assert search.text("search.json")
    assert search.text("base/result.json")


def test_deleted_search_deletes_its_data_after_its_pods_and_never_a_pool(harness: Harness) -> None:
    may_end = threading.Event()
    harness.on("wiped-t0000", _writes_to_the_end(harness, may_end))
    search = harness.begin("wiped", {"storage": {"onDelete": "Delete"}}, trials=1)
    pod = search.until_runs("-t0000")
    assert _finalizers(search) == [FINALIZER]
    search.until(lambda: search.text("trials/0000/attempts/1/attempt.json"))
    search.delete()
    search.until(lambda: pod.stopping)
    time.sleep(STOPPING_SECONDS)
    assert search.text("search.json"), "its pod still runs, but the data is gone already"
    assert search.exists
    may_end.set()
    search.until_gone()
    assert list(search.store.list(f"{search.folder}/")) == []
    search.until(lambda: not _objects(search))
    assert list(search.store.list(f"{search.namespace}/pools/"))


def test_finalizer_follows_changes_of_on_delete(harness: Harness) -> None:
    search = harness.begin("undecided", {"suspend": True})
    search.until(lambda: search.phase == "Suspended")
    assert _finalizers(search) == []
    search.patch(storage={"onDelete": "Delete"})
    search.until(lambda: _finalizers(search) == [FINALIZER])
    search.patch(storage={"onDelete": "Retain"})
    search.until(lambda: _finalizers(search) == [])
    search.delete()
    search.until_gone()
    assert search.text("search.json")


def test_namesake_of_a_deleted_search_waits_for_its_jobs(harness: Harness) -> None:
    may_end = threading.Event()
    harness.on("again-t0000", _writes_to_the_end(harness, may_end))
    first = harness.begin("again", trials=1)
    first.until_runs("-t0000")
    harness.on("again-*", succeeds(work=harness.trainer))
    first.delete()
    second = harness.begin("again", namespace=first.namespace, trials=1)
    second.until(lambda: _owner(second.job("-t0000")) == second.uid)
    may_end.set()
    second.until_phase("Succeeded")
    assert second.folder != first.folder
    assert first.text("search.json")
    assert not first.text("trials/0000/result.json")
    assert {_owner(job) for job in second.jobs().values()} == {second.uid}
    assert second.trials["succeeded"] == 1


def _owner(job: Document | None) -> str:
    """UID of the search that a Job is of."""
    return str(job["metadata"]["ownerReferences"][0]["uid"]) if job else ""


def _finalizers(search: Search) -> list[str]:
    return list(search.resource["metadata"].get("finalizers", []))


def _objects(search: Search) -> list[str]:
    """Names of its Jobs and pods."""
    return [*search.jobs(), *(pod["metadata"]["name"] for pod in search.pods())]


def _writes_to_the_end(harness: Harness, may_end: threading.Event) -> Script:
    """Run; on SIGTERM continue until it may end, and write a checkpoint then."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(harness.trainer.begin, pod)
        pod.exit_code = 75
        try:
            await asyncio.Event().wait()
        finally:
            while not may_end.is_set():
                await asyncio.sleep(0.02)
            store, request = harness.trainer.asked(pod.uri)
            store.put(f"{request.key}/attempts/1/checkpoint.pth", b"weights")

    return script
