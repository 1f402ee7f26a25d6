"""Why a search waits is reported in the cluster's words, and once the cause is gone it runs.

All searches of this module wait at the same time, each for something else; others beside them
have ended or stopped. They are looked at over a while, then every cause is taken away at once.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.cluster.admission import QUOTAS, allow_jobs, forbid, refuse_jobs
from tests.cluster.api import JOBS, Document
from tests.cluster.jobs import job
from tests.cluster.scripts import exits, succeeds
from tests.cluster.waiting import eventually
from tests.operator.harness.behaviours import leaves_a_checkpoint, stuck_until
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search, in_order
from tests.operator.scenarios import impatient_operator
from tests.operator.scenarios.waiting_cases import UNAFFECTED, WAITS

PROGRAM = impatient_operator.main
QUIET_SECONDS = 1.5 * impatient_operator.WAITING_SECONDS
"""Longer than the delay after which the operator reconciles a search that waits."""

QUIET_PERIODS = 10
"""A busy machine needs some to become quiet; an operator that writes at every pass never is."""


NAMESPACES = len(WAITS) + len(UNAFFECTED)


@dataclass(frozen=True)
class Seen:
    """A search before and after a time in which nothing happened.

    Attributes:
        written: its version, and how often it was told of, before and after.
    """

    search: Search
    status: Document
    events: list[Document]
    written: tuple[tuple[str, int], tuple[str, int]]

    def condition(self, kind: str) -> Document:
        (found,) = [one for one in self.status["conditions"] if one["type"] == kind]
        return found


@pytest.fixture(scope="module")
def seen(harness: Harness) -> Iterator[dict[str, Seen]]:
    """What was observed of each; the causes are removed already."""
    fixed = threading.Event()
    searches = {name: _waiting(harness, name, fixed) for name in WAITS}
    searches |= {name: _unaffected(harness, name) for name in UNAFFECTED}
    _wait(lambda: all(map(_is_settled, searches.values())))
    time.sleep(2)  # the last events, and the first progress of what runs
    before = _quiet(searches)
    found = {
        name: Seen(
            search=search,
            status=search.status,
            events=search.events(),
            written=(before[name], _written(search)),
        )
        for name, search in searches.items()
    }
    fixed.set()
    _remove_causes(harness, searches)
    yield found
    allow_jobs(harness.cluster.api)


@pytest.mark.parametrize("name", WAITS)
def test_waiting_search_reports_the_cause(seen: dict[str, Seen], name: str) -> None:
    wait, found = WAITS[name], seen[name]
    message = found.condition("Succeeded")["message"]
    assert found.condition("Succeeded")["reason"] == wait.reason, found.search.diagnosis()
    assert in_order(message, wait.says), message
    degraded = found.condition("Degraded")
    assert degraded["status"] == str(not wait.harmless)
    told = [(e["type"], e["message"]) for e in found.events if e["reason"] == wait.reason]
    if wait.harmless:
        assert told == []
    else:
        assert degraded["message"] == message
        assert told == [("Warning", message)]
    assert found.status["trials"]["infrastructure"] == 0
    (active,) = found.status["active"] or ({"activity": "none"},)
    assert active["activity"] in (f"waiting: {wait.reason}", "none")


@pytest.mark.parametrize("name", [*WAITS, *UNAFFECTED])
def test_search_is_not_written_while_nothing_changes(seen: dict[str, Seen], name: str) -> None:
    before, after = seen[name].written
    assert before == after, seen[name].search.diagnosis()


@pytest.mark.parametrize("name", UNAFFECTED)
def test_search_that_waits_for_nothing_keeps_its_phase(seen: dict[str, Seen], name: str) -> None:
    assert seen[name].status["phase"] == UNAFFECTED[name][1]


@pytest.mark.parametrize("name", [name for name in WAITS if name != "queued"])
def test_waiting_search_succeeds_once_the_cause_is_removed(
    seen: dict[str, Seen], name: str
) -> None:
    search = seen[name].search.until_phase("Succeeded")
    assert search.has_condition("Degraded", "False", "NothingWrong")
    assert search.recoveries(WAITS[name].reason) == 1
    assert search.trials["infrastructure"] == 0


def test_search_follows_a_queue_that_admits_preempts_and_admits_again(
    harness: Harness, seen: dict[str, Seen]
) -> None:
    """The test plays Kueue, which does all of it by the Job's field suspend."""
    search = seen["queued"].search
    harness.on("queued-base", leaves_a_checkpoint(harness.trainer))
    first = search.job("-prepare")
    assert first is not None
    assert first["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gold"
    assert not search.pods_of("-prepare")

    _admit(search, "-prepare")
    for waiting in ("-pool-0", "-base"):
        search.until(partial(search.job, waiting))
        _admit(search, waiting)
    search.until_runs("-base")
    _admit(search, "-base", admitted=False)
    search.until(lambda: not search.live_pods())
    search.until(lambda: _activity(search, "-base") == "waiting: Queued")
    assert search.has_condition("Degraded", "False", "NothingWrong")
    for waiting in ("-base", "-t0000", "-export"):
        search.until(partial(search.job, waiting))
        _admit(search, waiting)
    search.until_phase("Succeeded")
    assert len(search.pods_of("-base")) == 2
    assert search.trials["infrastructure"] == 0


def test_search_in_a_namespace_without_credentials_says_who_provides_them(harness: Harness) -> None:
    search = harness.begin("stranger", namespace=harness.installation.namespace)
    search.until_condition("Accepted", "False", "CredentialsMissing")
    assert search.phase == "Pending"
    assert (
        "ask the administrator to add it to the chart's value namespaces"
        in (search.event("CredentialsMissing")["message"])
    )
    assert not search.jobs()


def _waiting(harness: Harness, name: str, fixed: threading.Event) -> Search:
    wait, api = WAITS[name], harness.cluster.api
    search = harness.search(name, wait.spec, trials=1)
    if wait.stuck:
        harness.on(name + wait.job, stuck_until(fixed, wait.stuck, succeeds(work=harness.trainer)))
    if wait.quota:
        forbid(api, search.namespace, wait.quota)
    if name == "taken":
        api.create(job("taken-prepare"), search.namespace)
    if name == "refused":
        refuse_jobs(harness.cluster, search.namespace)
    return search.apply()


def _unaffected(harness: Harness, name: str) -> Search:
    harness.on("broken-prepare", exits(1))
    harness.on("running-t0000", leaves_a_checkpoint(harness.trainer))
    harness.on("blocked-t0000", exits(1))
    return harness.begin(name, UNAFFECTED[name][0], trials=1)


def _remove_causes(harness: Harness, searches: dict[str, Search]) -> None:
    api = harness.cluster.api
    for name, wait in WAITS.items():
        if wait.quota:
            api.delete(QUOTAS, searches[name].namespace, "limits")
    api.delete(JOBS, searches["taken"].namespace, "taken-prepare")
    allow_jobs(api)


def _wait(holds: Callable[[], bool]) -> None:
    """Wait; if in vain, the test that needs it fails."""
    with contextlib.suppress(AssertionError):
        eventually(holds)


def _quiet(searches: dict[str, Search]) -> dict[str, tuple[str, int]]:
    """What was written of each before a while in which nothing was, or the last of some whiles."""
    for _ in range(QUIET_PERIODS):
        before = {name: _written(search) for name, search in searches.items()}
        time.sleep(QUIET_SECONDS)
        if before == {name: _written(search) for name, search in searches.items()}:
            break
    return before


def _is_settled(search: Search) -> bool:
    if search.name in WAITS:
        return bool(search.condition("Succeeded")["reason"] == WAITS[search.name].reason)
    return search.phase == UNAFFECTED[search.name][1]


def _written(search: Search) -> tuple[str, int]:
    return search.resource["metadata"]["resourceVersion"], len(search.events())


def _admit(search: Search, job: str, *, admitted: bool = True) -> None:
    body = {"spec": {"suspend": not admitted}}
    search.harness.cluster.api.patch(JOBS, search.namespace, search.name + job, body)


def _activity(search: Search, job: str) -> str:
    active = search.status["active"]
    return next((one["activity"] for one in active if one["job"] == search.name + job), "")
