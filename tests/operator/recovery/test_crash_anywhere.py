"""The operator is killed after every single write, and the search still ends as it should."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from detnas.store.base import PROBE_KEY
from tests.cluster.faults import Call, Fault, Interrupt
from tests.cluster.played_pod import PlayedPod
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.checks import (
    PHASES,
    JobWatch,
    check_decisions,
    check_events,
    check_search,
    check_status,
    check_weights,
    stored,
)
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.recovery.full_search import FULL, LAST, LOST
from tests.operator.recovery.held_trials import run_to_trials

END_SECONDS = 900
QUIET_SECONDS = 2.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * END_SECONDS)]


class OneWriteALife:
    """A rule: each operator process may write once, and is killed before it gets the answer.

    What it writes again in vain is fatal once: the probe of the store, with which every process
    begins, and events of which it did not live to get the answer.
    """

    def __init__(self, harness: ProxiedHarness) -> None:
        self.killed_after: list[Call] = []
        self._operator = harness.operator

    def __call__(self, call: Call) -> Fault | None:
        if not call.is_write or self._is_in_vain(call):
            return None
        self.killed_after.append(call)
        return Interrupt(self._operator.kill)

    def _is_in_vain(self, call: Call) -> bool:
        only_once = call.is_event or call.path.endswith(PROBE_KEY)
        return only_once and call.what in {before.what for before in self.killed_after}


def test_operator_that_dies_after_every_write_finishes_its_search(proxied: ProxiedHarness) -> None:
    search = proxied.search("one", FULL, trials=4)

    def is_reported(pod: PlayedPod) -> bool:
        return any(job["job"] == pod.job for job in search.status.get("active", ()))

    proxied.play(InTurn(proxied.trainer, LAST, LOST, is_reported))
    rule = proxied.journal.rule = OneWriteALife(proxied)
    search.apply()
    with JobWatch(search) as seen:
        live_until(proxied, rule, lambda: search.phase == "Succeeded")
    check_search(search, seen, LOST)
    assert check_events(search, LOST) >= set(PHASES)  # no pod ends before the status reports it
    kinds = {(call.server, call.method) for call in rule.killed_after}
    assert kinds >= {("api", "POST"), ("api", "PATCH"), ("s3", "PUT"), ("s3", "DELETE")}


def test_operator_that_dies_after_every_write_suspends_resumes_and_deletes(
    proxied: ProxiedHarness,
) -> None:
    search, gate = run_to_trials(proxied, {"storage": {"onDelete": "Delete"}})
    proxied.operator.kill()
    rule = proxied.journal.rule = OneWriteALife(proxied)
    search.patch(suspend=True)
    live_until(proxied, rule, lambda: search.phase == "Suspended" and not search.live_pods())
    in_flight = stored(search).state.history.in_flight
    assert [proposal.index for proposal in in_flight] == [0, 1]

    search.patch(suspend=False)
    gate.open()
    live_until(proxied, rule, lambda: search.phase == "Succeeded")
    found = stored(search)
    check_decisions(found)
    check_weights(found)
    check_status(search.status, found)
    deleted = [call.path.rpartition("/")[2] for call in rule.killed_after if is_job_delete(call)]
    assert sorted(deleted) == ["one-t0000", "one-t0001"]  # once each, when it was suspended

    search.delete()
    live_until(proxied, rule, lambda: not search.exists)
    assert list(search.store.list(f"{search.folder}/")) == []
    search.until(lambda: not search.jobs())


def is_job_delete(call: Call) -> bool:
    """Whether a write deletes a Job."""
    return call.method == "DELETE" and "/jobs/" in call.path


def live_until(
    harness: ProxiedHarness, rule: OneWriteALife, is_reached: Callable[[], bool]
) -> None:
    """Restart the operator until it writes nothing more and something is reached.

    Raises:
        AssertionError: it was not in time; with what the operator died of.
    """
    until = time.monotonic() + END_SECONDS
    while not (is_reached() and is_quiet(harness)):
        assert time.monotonic() < until, f"{lives(rule)}\n{harness.operator.log[-4000:]}"
        if not harness.operator.is_running:
            harness.operator.start(wait=False)
        time.sleep(0.02)
    print(lives(rule))


def is_quiet(harness: ProxiedHarness) -> bool:
    """Whether the operator runs, and finds nothing to write."""
    operator = harness.operator
    if not (operator.is_running and operator.is_ready() and harness.has_passed()):
        return False
    time.sleep(QUIET_SECONDS)
    return operator.is_running


def lives(rule: OneWriteALife) -> str:
    """After which writes it died how often, and what the last of them were."""
    calls = rule.killed_after
    deaths = Counter(f"{call.server} {call.method} {call.path}" for call in calls)
    counted = [f"{count} × {what}" for what, count in deaths.items()]
    last = [f"{call.method} {call.path} {call.body[:300]!r}" for call in calls[-6:]]
    return "\n".join([f"{len(calls)} lives", *counted, "the last:", *last])
