"""A search that is warm started by another, as their user sees it."""

import pytest

from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

NAMESPACES = 2


@pytest.fixture(scope="module")
def origin(harness: Harness) -> Search:
    return harness.begin("origin", trials=3).until_phase("Succeeded")


def test_warm_start_that_cannot_be_used_is_named_and_runs_no_job(
    harness: Harness, origin: Search
) -> None:
    namespace, warm = origin.namespace, {"warmStart": {"from": "origin"}}
    unfit = harness.begin("unfit", {**warm, "resolutions": ["64x64", "96x96"]}, namespace)
    alone = harness.begin("alone", {"warmStart": {"from": "nobody"}}, namespace)
    foreign = harness.begin("foreign", {"warmStart": {"from": origin.status["folder"]}})
    unfit.until_condition("Degraded", "True", "WarmStartMismatch")
    assert "spec.resolutions" in unfit.condition("Degraded")["message"]
    alone.until_condition("Degraded", "True", "WarmStartMissing")
    foreign.until_condition("Accepted", "False", "WarmStartForbidden")
    assert [search.jobs() for search in (unfit, alone, foreign)] == [{}, {}, {}]


@pytest.mark.parametrize("by", ["name", "address"])
def test_warm_started_search_runs_only_its_own_trials(
    harness: Harness, origin: Search, by: str
) -> None:
    reference = "origin" if by == "name" else origin.status["folder"]
    spec = {"warmStart": {"from": reference}}
    # One trial after the other: concurrent ones may start in any order.
    heir = harness.begin(f"by-{by}", spec, origin.namespace, parallelism=1, alpha="0.2")
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


def test_warm_started_search_outlives_its_source(harness: Harness, origin: Search) -> None:
    namespace, spec = origin.namespace, {"storage": {"onDelete": "Delete"}}
    # One of its own: others may yet be warm started by the first.
    mortal = harness.begin("mortal", spec, namespace, trials=3).until_phase("Succeeded")
    heir = harness.begin("outlives", {"warmStart": {"from": "mortal"}}, namespace, trials=1)
    heir.until_phase("Succeeded")
    mortal.delete()
    mortal.until_gone()
    assert list(mortal.store.list(f"{mortal.folder}/")) == []
    harness.operator.kill()
    harness.operator.start()
    heir.patch(search={"trials": 3})
    heir.until(lambda: heir.trials["progress"] == "3/3")
    heir.until_phase("Succeeded")
    assert "trials/0005" in heir.starts
