"""The operator is killed after every single write, and the search still comes out right."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from detnas.store.base import PROBE_KEY
from tests.cluster.api import SEARCHES
from tests.cluster.faults import Call, Fault, Interrupt
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Door, JobsSeen, Scene, Turns
from tests.operator.recovery.verdict import (
    PHASES,
    check_decisions,
    check_events,
    check_search,
    check_status,
    check_weights,
    stored,
)

LOST = frozenset({1})
LAST = 4
END_SECONDS = 900
QUIET_SECONDS = 2.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * END_SECONDS)]


class OneWriteALife:
    """A rule: each operator process may write once, and is killed before it hears the answer.

    What it writes again in vain is fatal once: the probe of the store, with which every process
    begins, and events that it did not live to hear of.
    """

    def __init__(self, scene: Scene) -> None:
        self.killed_after: list[Call] = []
        self._scene = scene

    def __call__(self, call: Call) -> Fault | None:
        if not call.is_write or self._is_in_vain(call):
            return None
        self.killed_after.append(call)
        return Interrupt(self._scene.operator.kill)

    def _is_in_vain(self, call: Call) -> bool:
        only_once = call.is_event or call.path.endswith(PROBE_KEY)
        return only_once and call.what in {before.what for before in self.killed_after}


def test_an_operator_that_dies_after_every_write_finishes_its_search(scene: Scene) -> None:
    player = scene.play(Turns(scene.trainer, LAST, LOST, scene.is_told))
    rule = scene.journal.rule = OneWriteALife(scene)
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin()
        live_until(scene, rule, lambda: scene.status().get("phase") == "Succeeded")
    check_search(scene, player, seen, LOST)
    assert check_events(scene, LOST) >= set(PHASES)  # no pod ends before the status tells of it
    kinds = {(call.server, call.method) for call in rule.killed_after}
    assert kinds >= {("api", "POST"), ("api", "PATCH"), ("s3", "PUT"), ("s3", "DELETE")}


def test_an_operator_that_dies_after_every_write_suspends_resumes_and_deletes(
    scene: Scene,
) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec={**SHORT, "storage": {"onDelete": "Delete"}})
    scene.operator.start()
    scene.await_running("one-t0000", "one-t0001")
    scene.operator.kill()
    rule = scene.journal.rule = OneWriteALife(scene)
    scene.change({"spec": {"suspend": True}})
    live_until(
        scene, rule, lambda: scene.status()["phase"] == "Suspended" and not scene.live_pods()
    )
    found = stored(scene)
    assert [proposal.index for proposal in found.state.history.in_flight] == [0, 1]

    scene.change({"spec": {"suspend": False}})
    door.open()
    live_until(scene, rule, lambda: scene.status()["phase"] == "Succeeded")
    found = stored(scene)
    check_decisions(found)
    check_weights(found)
    check_status(scene.status(), found, frozenset())
    deleted = [call.path.rpartition("/")[2] for call in rule.killed_after if is_job_delete(call)]
    assert sorted(deleted) == ["one-t0000", "one-t0001"]  # once each, when it was suspended

    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    live_until(scene, rule, lambda: not scene.cluster.api.find(SEARCHES, scene.namespace, "one"))
    assert list(found.store.list(f"{found.requests.search}/")) == []
    eventually(lambda: not scene.jobs())


def is_job_delete(call: Call) -> bool:
    """Whether a write deletes a Job."""
    return call.method == "DELETE" and "/jobs/" in call.path


def live_until(scene: Scene, rule: OneWriteALife, is_reached: Callable[[], bool]) -> None:
    """Start the operator again and again, until it writes nothing more and all is as it should be.

    Raises:
        AssertionError: it was not in time; with what it died of.
    """
    until = time.monotonic() + END_SECONDS
    while not (is_reached() and is_at_rest(scene)):
        assert time.monotonic() < until, f"{story(rule)}\n{scene.operator.log[-4000:]}"
        if not scene.operator.is_running:
            scene.operator.start(wait=False)
        time.sleep(0.02)
    print(story(rule))


def is_at_rest(scene: Scene) -> bool:
    """Whether the operator runs, and finds nothing to write."""
    if not (scene.operator.is_running and scene.operator.is_ready() and scene.has_passed()):
        return False
    time.sleep(QUIET_SECONDS)
    return scene.operator.is_running


def story(rule: OneWriteALife) -> str:
    """After which writes it died how often, and what the last of them were."""
    calls = rule.killed_after
    deaths = Counter(f"{call.server} {call.method} {call.path}" for call in calls)
    counted = [f"{count} × {what}" for what, count in deaths.items()]
    last = [f"{call.method} {call.path} {call.body[:300]!r}" for call in calls[-6:]]
    return "\n".join([f"{len(calls)} lives", *counted, "the last:", *last])
