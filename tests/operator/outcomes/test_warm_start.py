"""A search that goes on from another, as their user sees it."""

import pytest

from tests.operator.outcomes.stage import Search, Stage

ROOMS = 2


@pytest.fixture(scope="module")
def origin(stage: Stage) -> Search:
    return stage.begun("origin", trials=3).until_phase("Succeeded")


def test_what_does_not_fit_says_so_and_runs_nothing(stage: Stage, origin: Search) -> None:
    room, warm = origin.namespace, {"warmStart": {"from": "origin"}}
    unfit = stage.begun("unfit", {**warm, "resolutions": ["64x64", "96x96"]}, room)
    alone = stage.begun("alone", {"warmStart": {"from": "nobody"}}, room)
    foreign = stage.begun("foreign", {"warmStart": {"from": origin.status["folder"]}})
    unfit.until(lambda: unfit.says("Degraded", "True", "WarmStartMismatch"))
    assert "spec.resolutions" in unfit.condition("Degraded")["message"]
    alone.until(lambda: alone.says("Degraded", "True", "WarmStartMissing"))
    foreign.until(lambda: foreign.says("Accepted", "False", "WarmStartForbidden"))
    assert [search.jobs() for search in (unfit, alone, foreign)] == [[], [], []]


@pytest.mark.parametrize("by", ["name", "address"])
def test_it_goes_on_with_own_trials(stage: Stage, origin: Search, by: str) -> None:
    reference = "origin" if by == "name" else origin.status["folder"]
    spec = {"warmStart": {"from": reference}}
    heir = stage.begun(f"by-{by}", spec, origin.namespace, trials=2, alpha="0.2")
    heir.until_phase("Succeeded")
    assert [key for key in heir.starts if "/pools/" not in key] == [
        "prepare",
        "trials/0003",
        "trials/0004",
        "students/best",
    ]
    assert heir.trials["progress"] == "2/2"
    assert heir.status["base"]["map"] == origin.status["base"]["map"]
    stored = heir.store.get(f"{heir.folder}/inherited/result.json")
    assert stored is not None
    assert origin.status["folder"].encode() in stored.data


def test_it_outlives_the_search_it_went_on_from(stage: Stage, origin: Search) -> None:
    room, spec = origin.namespace, {"storage": {"onDelete": "Delete"}}
    # One of its own: others may yet go on from the first.
    mortal = stage.begun("mortal", spec, room, trials=3).until_phase("Succeeded")
    heir = stage.begun("outlives", {"warmStart": {"from": "mortal"}}, room, trials=1)
    heir.until_phase("Succeeded")
    mortal.delete()
    mortal.until(lambda: not mortal.is_there)
    assert list(mortal.store.list(f"{mortal.folder}/")) == []
    stage.operator.kill()
    stage.operator.start()
    heir.patch(search={"trials": 3})
    heir.until(lambda: heir.trials["progress"] == "3/3")
    heir.until_phase("Succeeded")
    assert "trials/0005" in heir.starts
