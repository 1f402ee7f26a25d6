"""The operator is killed after every single write, and the search still comes out right."""

import time
from collections import Counter

import pytest

from detnas.store.probe import PROBE_KEY
from tests.cluster.faults import Call, Fault, Interrupt
from tests.operator.recovery.scene import JobsSeen, Scene, Turns
from tests.operator.recovery.verdict import check_search

LOST = frozenset({1})
LAST = 4
END_SECONDS = 240
QUIET_SECONDS = 2.0


class OneWriteALife:
    """A rule: each operator process may write once, and is killed before it hears the answer.

    The probe of the store, which every process begins with, is fatal once.
    """

    def __init__(self, scene: Scene) -> None:
        self.killed_after: list[Call] = []
        self._scene = scene

    def __call__(self, call: Call) -> Fault | None:
        if not call.is_write or self._is_known_probe(call):
            return None
        self.killed_after.append(call)
        return Interrupt(self._scene.operator.kill)

    def _is_known_probe(self, call: Call) -> bool:
        return call.path.endswith(PROBE_KEY) and call.what in {c.what for c in self.killed_after}


@pytest.mark.slow
def test_an_operator_that_dies_after_every_write_finishes_its_search(scene: Scene) -> None:
    player = scene.play(Turns(scene.trainer, LAST, LOST, scene.is_told))
    rule = scene.journal.rule = OneWriteALife(scene)
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin()
        until = time.monotonic() + END_SECONDS
        while not is_over(scene):
            assert time.monotonic() < until, story(rule)
            if not scene.operator.is_running:
                scene.operator.start(wait=False)
            time.sleep(0.02)
    print(story(rule))
    check_search(scene, player, seen, LOST)
    kinds = {(call.server, call.method) for call in rule.killed_after}
    assert kinds >= {("api", "POST"), ("api", "PATCH"), ("s3", "PUT"), ("s3", "DELETE")}


def is_over(scene: Scene) -> bool:
    """Whether the search has succeeded, and an operator that looks at it finds nothing to do."""
    if scene.status().get("phase") != "Succeeded" or not scene.operator.is_running:
        return False
    if not scene.operator.is_ready():
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
