"""Many searches that wait cost the API server a few lists a minute, and suspended Jobs none."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.cluster.api import JOBS, SEARCHES
from tests.cluster.control_plane import ControlPlane
from tests.cluster.played_pod import PlayedPod
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.harness.fixtures import MakeHarness

SEARCHES_EACH = 25
SETTLE_SECONDS = 35.0
"""Longer than it takes until a wait is in the status, and no longer checked for a change."""
WATCHED_SECONDS = 25.0


@pytest.mark.slow
def test_waiting_searches_share_their_lists_and_queued_ones_list_nothing(
    make_harness: MakeHarness, cluster: ControlPlane, namespaces: Callable[[], str]
) -> None:
    waiting, queued = namespaces(), namespaces()
    harness = make_harness([waiting, queued])
    harness.play(lambda _: stays_pending)
    for number in range(SEARCHES_EACH):
        cluster.api.create(manifest(f"w-{number}"), waiting)
        sections = {"jobs": {"queueName": "gold"}}
        cluster.api.create(manifest(f"q-{number}", sections), queued)
    harness.operator.start()
    for namespace in (waiting, queued):
        eventually(partial(has_all_jobs, cluster, namespace))
    time.sleep(SETTLE_SECONDS)
    first = len(harness.journal.calls)
    time.sleep(WATCHED_SECONDS)
    calls = list(harness.journal.calls[first:])
    lists = [
        call.path
        for call in calls
        if call.server == "api" and call.method == "GET" and call.path.endswith(("pods", "events"))
    ]
    assert not [path for path in lists if f"/{queued}/" in path]
    assert 2 <= len(lists) <= 8, lists  # each search for itself made two every 10 s: 125
    assert reasons(cluster, queued) == {"Queued"}
    assert reasons(cluster, waiting) == {"Preparing"}


async def stays_pending(_: PlayedPod) -> None:
    """What a pod does that no node has room for."""


def has_all_jobs(cluster: ControlPlane, namespace: str) -> bool:
    return len(cluster.api.list(JOBS, namespace)) == SEARCHES_EACH


def reasons(cluster: ControlPlane, namespace: str) -> set[str]:
    """Why the searches of a namespace have not succeeded."""
    conditions = (one["status"]["conditions"] for one in cluster.api.list(SEARCHES, namespace))
    return {one["reason"] for some in conditions for one in some if one["type"] == "Succeeded"}
