"""Many searches that wait cost the API server a few lists a minute, and suspended Jobs none."""

import time
from collections.abc import Callable

from tests.cluster.api import SEARCHES
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import make_namespace
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import Scene

SEARCHES_EACH = 25
SETTLE_SECONDS = 35.0
"""Longer than it takes until a wait is in the status, and not looked at again for a change."""
WATCHED_SECONDS = 25.0


def test_searches_share_what_is_listed_and_queued_ones_list_nothing(
    make_scene: Callable[[list[str]], Scene], cluster: ControlPlane
) -> None:
    waiting, queued = (make_namespace(cluster, name) for name in ("waiting", "queued"))
    scene = make_scene([waiting, queued])
    for number in range(SEARCHES_EACH):
        cluster.api.create(manifest(f"w-{number}"), waiting)
        sections = {"jobs": {"queueName": "gold"}}
        cluster.api.create(manifest(f"q-{number}", sections), queued)
    scene.operator.start()
    eventually(lambda: len(scene.jobs(waiting)) == len(scene.jobs(queued)) == SEARCHES_EACH)
    time.sleep(SETTLE_SECONDS)
    first = len(scene.journal.calls)
    time.sleep(WATCHED_SECONDS)
    calls = list(scene.journal.calls[first:])
    lists = [
        call.path
        for call in calls
        if call.server == "api" and call.method == "GET" and call.path.endswith(("pods", "events"))
    ]
    assert not [path for path in lists if f"/{queued}/" in path]
    assert 2 <= len(lists) <= 8, lists  # each search for itself made two every 10 s: 125
    told = cluster.api.list(SEARCHES, queued)
    assert {_why(search) for search in told} == {"Queued"}
    assert {_why(search) for search in cluster.api.list(SEARCHES, waiting)} == {"Preparing"}


def _why(search: dict) -> str:
    conditions = search["status"]["conditions"]
    return str(next(one["reason"] for one in conditions if one["type"] == "Succeeded"))
