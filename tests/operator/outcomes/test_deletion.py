"""A deleted search leaves no pod running; its data goes only when asked, and after them."""

import asyncio
import threading
import time

from tests.cluster.api import JOBS, PODS, Document
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.scripts import succeeds
from tests.operator.outcomes.doings import leaves_a_checkpoint
from tests.operator.outcomes.stage import Search, Stage

ROOMS = 4
FINALIZER = "detnas.dev/delete-data"
STOPPING_SECONDS = 3.0
"""The operator looks every two seconds whether the last pod has ended."""


def test_a_deleted_search_goes_at_once_with_its_jobs_and_leaves_its_data(stage: Stage) -> None:
    stage.on("going-t0000", leaves_a_checkpoint(stage.trainer))
    search = stage.begun("going", trials=1)
    search.until_runs("-t0000")
    assert _finalizers(search) == []
    search.delete()
    search.until(lambda: not search.is_there)
    search.until(lambda: not _objects(search))
    assert search.text("search.json")
    assert search.text("base/result.json")


def test_data_is_deleted_after_the_jobs_and_never_a_pool(stage: Stage) -> None:
    may_end = threading.Event()
    stage.on("wiped-t0000", _writes_to_the_end(stage, may_end))
    search = stage.begun("wiped", {"storage": {"onDelete": "Delete"}}, trials=1)
    pod = search.until_runs("-t0000")
    assert _finalizers(search) == [FINALIZER]
    search.until(lambda: search.text("trials/0000/attempts/1/attempt.json"))
    search.delete()
    search.until(lambda: pod.stopping)
    time.sleep(STOPPING_SECONDS)
    assert search.text("search.json"), "its pod still runs, but the data is gone already"
    assert search.is_there
    may_end.set()
    search.until(lambda: not search.is_there)
    assert list(search.store.list(f"{search.folder}/")) == []
    search.until(lambda: not _objects(search))
    assert list(search.store.list(f"{search.namespace}/pools/"))


def test_the_finalizer_comes_and_goes_with_the_wish(stage: Stage) -> None:
    search = stage.begun("undecided", {"suspend": True})
    search.until(lambda: search.phase == "Suspended")
    assert _finalizers(search) == []
    search.patch(storage={"onDelete": "Delete"})
    search.until(lambda: _finalizers(search) == [FINALIZER])
    search.patch(storage={"onDelete": "Retain"})
    search.until(lambda: _finalizers(search) == [])
    search.delete()
    search.until(lambda: not search.is_there)
    assert search.text("search.json")


def test_another_search_of_the_name_waits_for_the_jobs_of_the_first(stage: Stage) -> None:
    may_end = threading.Event()
    stage.on("again-t0000", _writes_to_the_end(stage, may_end))
    first = stage.begun("again", trials=1)
    first.until_runs("-t0000")
    stage.on("again-*", succeeds(work=stage.trainer))
    first.delete()
    second = stage.begun("again", room=first.namespace, trials=1)
    second.until(lambda: _owner(second.job("-t0000")) == second.uid)
    may_end.set()
    second.until_phase("Succeeded")
    assert second.folder != first.folder
    assert first.text("search.json")
    assert not first.text("trials/0000/result.json")
    assert {_owner(job) for job in second.jobs()} == {second.uid}
    assert second.trials["succeeded"] == 1


def _owner(job: Document | None) -> str:
    """UID of the search that a Job is of."""
    return str(job["metadata"]["ownerReferences"][0]["uid"]) if job else ""


def _finalizers(search: Search) -> list[str]:
    return list(search.resource["metadata"].get("finalizers", []))


def _objects(search: Search) -> list[str]:
    """Names of its Jobs and pods."""
    api, selector = search.stage.cluster.api, f"detnas.dev/search={search.name}"
    found = (api.list(kind, search.namespace, labelSelector=selector) for kind in (JOBS, PODS))
    return [one["metadata"]["name"] for some in found for one in some]


def _writes_to_the_end(stage: Stage, may_end: threading.Event) -> Script:
    """Run; when told to stop, go on until it may end, and write a checkpoint then."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(stage.trainer.begin, pod)
        pod.exit_code = 75
        try:
            await asyncio.Event().wait()
        finally:
            while not may_end.is_set():
                await asyncio.sleep(0.02)
            store, request = stage.trainer.asked(pod.uri)
            store.put(f"{request.key}/attempts/1/checkpoint.pth", b"weights")

    return script
