"""Why nothing happens is said in the cluster's words, and once the cause is gone it goes on.

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

from tests.cluster.admission import QUOTAS, forbid
from tests.cluster.api import JOBS, Document
from tests.cluster.jobs import job
from tests.cluster.scripts import exits, succeeds
from tests.cluster.waiting import eventually
from tests.operator.outcomes.doings import leaves_a_checkpoint
from tests.operator.outcomes.obstacles import (
    allow_jobs,
    refuse_jobs,
    stuck_until,
)
from tests.operator.outcomes.stage import Search, Stage, in_order
from tests.operator.outcomes.waits import STANDING, WAITS

QUIET_SECONDS = 11.0
"""Longer than the time after which the operator looks again at what waits."""

WHILES = 4
"""A busy machine may need some to come to rest; who writes at every look has no rest in any."""


ROOMS = len(WAITS) + len(STANDING)


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
def seen(stage: Stage) -> Iterator[dict[str, Seen]]:
    """What was seen of each; by now, what was in their way is gone."""
    mended = threading.Event()
    searches = {name: _blocked(stage, name, mended) for name in WAITS}
    searches |= {name: _standing(stage, name) for name in STANDING}
    _wait(lambda: all(map(_stands, searches.values())))
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
    mended.set()
    _make_way(stage, searches)
    yield found
    allow_jobs(stage.cluster.api)


@pytest.mark.parametrize("name", WAITS)
def test_the_cause_is_told(seen: dict[str, Seen], name: str) -> None:
    wait, found = WAITS[name], seen[name]
    message = found.condition("Succeeded")["message"]
    assert found.condition("Succeeded")["reason"] == wait.reason, found.search.story()
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


@pytest.mark.parametrize("name", [*WAITS, *STANDING])
def test_nothing_is_written_while_nothing_changes(seen: dict[str, Seen], name: str) -> None:
    before, after = seen[name].written
    assert before == after, seen[name].search.story()


@pytest.mark.parametrize("name", STANDING)
def test_it_stands_where_it_should(seen: dict[str, Seen], name: str) -> None:
    assert seen[name].status["phase"] == STANDING[name][1]


@pytest.mark.parametrize("name", [name for name in WAITS if name != "queued"])
def test_without_the_cause_the_search_goes_on(seen: dict[str, Seen], name: str) -> None:
    search = seen[name].search.until_phase("Succeeded")
    assert search.says("Degraded", "False", "NothingWrong")
    assert search.told("Recovered")["message"] == f"resolved: {WAITS[name].reason}"
    assert search.trials["infrastructure"] == 0


def test_kueue_admits_preempts_and_admits_again(stage: Stage, seen: dict[str, Seen]) -> None:
    """The test plays Kueue, which does all of it by the Job's field suspend."""
    search = seen["queued"].search
    stage.on("queued-base", leaves_a_checkpoint(stage.trainer))
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
    assert search.says("Degraded", "False", "NothingWrong")
    for waiting in ("-base", "-t0000", "-export"):
        search.until(partial(search.job, waiting))
        _admit(search, waiting)
    search.until_phase("Succeeded")
    assert len(search.pods_of("-base")) == 2
    assert search.trials["infrastructure"] == 0


def test_a_namespace_without_credentials_is_told_who_gives_them(stage: Stage) -> None:
    search = stage.begun("stranger", room=stage.installation.namespace)
    search.until(lambda: search.says("Accepted", "False", "CredentialsMissing"))
    assert search.phase == "Pending"
    assert (
        "ask the administrator to add it to the chart's value namespaces"
        in (search.told("CredentialsMissing")["message"])
    )
    assert not search.jobs()


def _blocked(stage: Stage, name: str, mended: threading.Event) -> Search:
    wait, api = WAITS[name], stage.cluster.api
    search = stage.search(name, wait.spec, trials=1)
    if wait.stuck:
        stage.on(name + wait.job, stuck_until(mended, wait.stuck, succeeds(work=stage.trainer)))
    if wait.quota:
        forbid(api, search.namespace, wait.quota)
    if name == "taken":
        api.create(job("taken-prepare"), search.namespace)
    if name == "refused":
        refuse_jobs(stage.cluster, search.namespace)
    return search.apply()


def _standing(stage: Stage, name: str) -> Search:
    stage.on("broken-prepare", exits(1))
    stage.on("running-t0000", leaves_a_checkpoint(stage.trainer))
    stage.on("halted-t0000", exits(1))
    return stage.begun(name, STANDING[name][0], trials=1)


def _make_way(stage: Stage, searches: dict[str, Search]) -> None:
    api = stage.cluster.api
    for name, wait in WAITS.items():
        if wait.quota:
            api.delete(QUOTAS, searches[name].namespace, "limits")
    api.delete(JOBS, searches["taken"].namespace, "taken-prepare")
    allow_jobs(api)


def _wait(holds: Callable[[], bool]) -> None:
    """Wait; if it is in vain, the test that needs it says so."""
    with contextlib.suppress(AssertionError):
        eventually(holds)


def _quiet(searches: dict[str, Search]) -> dict[str, tuple[str, int]]:
    """What was written of each before a while in which nothing was, or the last of some whiles."""
    for _ in range(WHILES):
        before = {name: _written(search) for name, search in searches.items()}
        time.sleep(QUIET_SECONDS)
        if before == {name: _written(search) for name, search in searches.items()}:
            break
    return before


def _stands(search: Search) -> bool:
    if search.name in WAITS:
        return bool(search.condition("Succeeded")["reason"] == WAITS[search.name].reason)
    return search.phase == STANDING[search.name][1]


def _written(search: Search) -> tuple[str, int]:
    return search.resource["metadata"]["resourceVersion"], len(search.events())


def _admit(search: Search, job: str, *, admitted: bool = True) -> None:
    body = {"spec": {"suspend": not admitted}}
    search.stage.cluster.api.patch(JOBS, search.namespace, search.name + job, body)


def _activity(search: Search, job: str) -> str:
    active = search.status["active"]
    return next((one["activity"] for one in active if one["job"] == search.name + job), "")
