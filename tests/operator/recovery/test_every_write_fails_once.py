"""Every write goes wrong the first time it is tried, in each of the ways in which it can."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping

import pytest

from tests.cluster.faults import FAULTS, Call, Fault
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.checks import JobWatch, check_events, check_search
from tests.operator.harness.fixtures import MakeHarness
from tests.operator.recovery.full_search import FULL, LAST, LOST

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
def test_searches_whose_every_write_fails_once_end_as_undisturbed_ones(
    make_harness: MakeHarness, namespaces: Callable[[], str]
) -> None:
    fault_in = {namespaces(): fault for fault in FAULTS.values()}
    harness = make_harness(list(fault_in))
    harness.play(InTurn(harness.trainer, LAST, LOST))
    rule = harness.journal.rule = FirstTriesFail(fault_in)
    searches = [harness.begin("one", FULL, namespace, trials=4) for namespace in fault_in]
    with JobWatch(*searches) as seen:
        harness.operator.start(wait=False)
        for search in searches:
            search.until_phase("Succeeded", END_SECONDS)
            search.until_settled()
    for search in searches:
        print(search.namespace, fault_in[search.namespace])
        check_search(search, seen, LOST)
        check_events(search, LOST)
        fault = fault_in[search.namespace]
        failed = [call for call in harness.journal.faulted() if rule.of(call) is fault]
        kinds = {(call.server, call.method) for call in failed}
        assert kinds >= {("api", "POST"), ("api", "PATCH"), ("s3", "PUT"), ("s3", "DELETE")}
        assert len(failed) >= 40
