"""Suspend and resume at every stage: nothing that had finished is repeated, the rest goes on."""

import pytest

from tests.cluster.api import Document
from tests.cluster.scripts import succeeds
from tests.operator.outcomes.doings import leaves_a_checkpoint
from tests.operator.outcomes.stage import Search, Stage

STAGES = {
    "-prepare": "prepare",
    "-base": "base",
    "-pool-0": "phase-0",
    "-t0000": "trials/0000",
    "-finetune": "finetune",
    "-export": "students/best",
}
"""What runs when the search is suspended: its Job, and the end of its folder."""

ROOMS = len(STAGES)


@pytest.fixture(scope="module")
def searches(stage: Stage) -> dict[str, Search]:
    """A search for each stage, where it stays until it is stopped."""
    found = {}
    for job in STAGES:
        name = f"halts{job}"
        stage.on(f"{name}{job}", leaves_a_checkpoint(stage.trainer))
        found[job] = stage.begun(name, {"finetune": {"epochs": 1}}, trials=1)
    return found


@pytest.mark.parametrize("job", STAGES)
def test_a_search_is_stopped_and_goes_on_where_it_was(
    stage: Stage, searches: dict[str, Search], job: str
) -> None:
    search, name = searches[job], searches[job].name
    search.until_runs(job)
    # What its pod says of its progress comes by the store: it may not ask the API server.
    active = search.until(lambda: _training(search, job))
    assert (active["done"], active["total"]) == (1, 2)
    assert (active["epoch"], active["epochs"]) == (1, 1)
    assert active["started"]
    search.patch(suspend=True)
    search.until(lambda: search.says("Suspended", "True", "SuspendedByUser"))
    assert search.phase == "Suspended"
    search.until(lambda: not search.live_pods())
    assert search.says("Degraded", "False", "NothingWrong")
    search.until(lambda: search.status["active"] == [])

    stage.on(f"{name}{job}", succeeds(work=stage.trainer))
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
