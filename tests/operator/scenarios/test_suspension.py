"""Suspend and resume at every stage: nothing that had finished is repeated."""

import pytest

from tests.cluster.api import Document
from tests.cluster.scripts import succeeds
from tests.operator.harness.behaviours import leaves_a_checkpoint
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

STAGES = {
    "-prepare": "prepare",
    "-base": "base",
    "-pool-0": "phase-0",
    "-t0000": "trials/0000",
    "-finetune": "finetune",
    "-export": "students/best",
}
"""What runs when the search is suspended: its Job, and the end of its folder."""

NAMESPACES = len(STAGES)


@pytest.fixture(scope="module")
def searches(harness: Harness) -> dict[str, Search]:
    """A search for each harness, where it stays until it is stopped."""
    found = {}
    for job in STAGES:
        name = f"halts{job}"
        harness.on(f"{name}{job}", leaves_a_checkpoint(harness.trainer))
        found[job] = harness.begin(name, {"finetune": {"epochs": 1}}, trials=1)
    return found


@pytest.mark.parametrize("job", STAGES)
def test_suspended_search_stops_and_resumes_without_repeating_finished_jobs(
    harness: Harness, searches: dict[str, Search], job: str
) -> None:
    search, name = searches[job], searches[job].name
    search.until_runs(job)
    # What its pod says of its progress comes by the store: it may not ask the API server.
    active = search.until(lambda: _training(search, job))
    assert (active["done"], active["total"]) == (1, 2)
    assert (active["epoch"], active["epochs"]) == (1, 1)
    assert active["started"]
    search.patch(suspend=True)
    search.until_condition("Suspended", "True", "SuspendedByUser")
    assert search.phase == "Suspended"
    search.until(lambda: not search.live_pods())
    assert search.has_condition("Degraded", "False", "NothingWrong")
    search.until(lambda: search.status["active"] == [])

    harness.on(f"{name}{job}", succeeds(work=harness.trainer))
    search.patch(suspend=False)
    search.until_phase("Succeeded")
    starts = search.starts
    repeated = {start for start in starts if starts.count(start) > 1}
    assert [start for start in repeated if STAGES[job] not in start] == []
    assert len(repeated) == 1
    assert search.trials["infrastructure"] == 0
    told = [event["reason"] for event in search.events()]
    assert (told.count("Suspended"), told.count("Resumed")) == (1, 1)
    search.until(lambda: not search.live_pods())


def _training(search: Search, job: str) -> Document | None:
    own = [one for one in search.status["active"] if one["job"] == search.name + job]
    return own[0] if own and own[0]["activity"] == "training" else None
