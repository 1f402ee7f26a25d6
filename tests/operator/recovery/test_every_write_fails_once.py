"""Every write goes wrong the first time it is tried, in each of the ways in which it can."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping

import pytest

from tests.cluster.faults import FAULTS, Call, Fault
from tests.operator.recovery.scene import JobsSeen, Scene, Turns
from tests.operator.recovery.verdict import check_events, check_search

LOST = frozenset({1})
LAST = 4
END_SECONDS = 400


class FirstTriesFail:
    """A rule: in each namespace, what is written goes wrong in one way at every other try."""

    def __init__(self, fault_in: Mapping[str, Fault]) -> None:
        self._fault_in = fault_in
        self._tries: Counter[Hashable] = Counter()

    def __call__(self, call: Call) -> Fault | None:
        if not call.is_write:
            return None
        self._tries[call.what] += 1
        fails = self._tries[call.what] % 2
        return self.of(call) if fails else None

    def of(self, call: Call) -> Fault | None:
        """What goes wrong in the namespace that a call is about."""
        parts = call.path.split("/")
        return next((fault for place, fault in self._fault_in.items() if place in parts), None)


@pytest.mark.slow
@pytest.mark.timeout(2 * END_SECONDS)
def test_searches_whose_every_write_fails_once_come_out_right(
    make_scene: Callable[[list[str]], Scene], namespaces: Callable[[], str]
) -> None:
    fault_in = {namespaces(): fault for fault in FAULTS.values()}
    scene = make_scene(list(fault_in))
    player = scene.play(Turns(scene.trainer, LAST, LOST))
    rule = scene.journal.rule = FirstTriesFail(fault_in)
    with JobsSeen(scene.cluster, *fault_in) as seen:
        for namespace in fault_in:
            scene.begin(namespace)
        scene.operator.start(wait=False)
        for namespace in fault_in:
            scene.await_end(END_SECONDS, namespace)
            scene.await_rest(namespace)
    for namespace, fault in fault_in.items():
        print(namespace, fault)
        check_search(scene, player, seen, LOST, namespace)
        check_events(scene, LOST, namespace)
        failed = [call for call in scene.journal.faulted() if rule.of(call) is fault]
        kinds = {(call.server, call.method) for call in failed}
        assert kinds >= {("api", "POST"), ("api", "PATCH"), ("s3", "PUT"), ("s3", "DELETE")}
        assert len(failed) >= 40
