"""Searches with equal teachers share one pool: one trains it, the others wait and take over."""

import asyncio
from functools import partial

import pytest

from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import exits, runs_for_ever
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

NAMESPACES = 5
TWO_PHASES = [{"epochs": 1, "learningRate": "0.1"}, {"epochs": 1, "learningRate": "0.05"}]


class FirstOfAll:
    """The first pod of all that come here follows one script, the later ones do their work."""

    def __init__(self, trainer: PretendedTrainer, first: Script) -> None:
        self.pods: list[PlayedPod] = []
        self._trainer = trainer
        self._first = first

    async def __call__(self, pod: PlayedPod) -> None:
        """Play a pod."""
        self.pods.append(pod)
        if len(self.pods) == 1:
            await asyncio.to_thread(self._trainer.begin, pod)
            await self._first(pod)
            return
        await pod.run()
        await asyncio.to_thread(self._trainer, pod)
        await pod.succeed()

    def search(self, number: int, among: list[Search]) -> Search:
        """Wait for the pod of this number, and say whose it is."""
        pod = among[0].until(lambda: self.pods[number : number + 1])[0]
        (found,) = (one for one in among if one.name == pod.labels["detnas.dev/search"])
        return found


def at_the_same_moment(harness: Harness, name: str, count: int) -> list[Search]:
    """Searches of one namespace that share a pool of two phases."""
    namespace = harness.namespace()
    spec = {"teachers": {"phases": TWO_PHASES}, "storage": {"onDelete": "Delete"}}
    found = [
        harness.search(f"{name}-{number}", spec, namespace, trials=1, seed=number)
        for number in range(count)
    ]
    return [search.apply() for search in found]


def pool_starts(search: Search) -> list[str]:
    return [key.rpartition("/")[2] for key in search.starts if "/pools/" in key]


def pool_objects(search: Search) -> dict[str, int | None]:
    store = search.store
    return {key: store.size(key) for key in store.list(f"{search.namespace}/pools/")}


def waits_for_the_pool(search: Search) -> bool:
    return search.has_condition("TeachersReady", "False", "WaitingForPool")


def is_gone(search: Search) -> bool:
    return not search.exists


def test_shared_pool_is_trained_by_one_search_and_continued_by_another_after_its_deletion(
    harness: Harness,
) -> None:
    phase = FirstOfAll(harness.trainer, runs_for_ever())
    harness.on("deleted-*-pool-1", phase)
    searches = at_the_same_moment(harness, "deleted", 3)
    holder = phase.search(0, searches)
    others = [search for search in searches if search is not holder]
    for search in others:
        search.until(partial(waits_for_the_pool, search))
        assert f"search {holder.name} " in search.condition("TeachersReady")["message"]
        assert not any("-pool-" in name for name in search.jobs())
    assert pool_starts(holder) == ["phase-0", "phase-1"]
    holder.delete()
    holder.until_gone()
    heir = phase.search(1, others)
    for search in others:
        search.until_phase("Succeeded")
    assert pool_starts(heir) == ["phase-0", "phase-1", "phase-1"]
    attempts = [
        key for key in pool_objects(heir) if key.endswith("phase-1/attempts/2/attempt.json")
    ]
    assert len(attempts) == 1, "it continues in the folder of the first, from its checkpoint"
    (idle,) = (search for search in others if search is not heir)
    assert not any("-pool-" in name for name in idle.jobs())
    kept = pool_objects(heir)
    for search in others:
        search.delete()
    for search in others:
        search.until(partial(is_gone, search))
        assert list(search.store.list(f"{search.folder}/")) == []
    assert pool_objects(heir) == kept, "searches' data was deleted as asked, and no pool's"


def test_pool_lease_survives_a_restart_and_passes_on_when_its_holder_is_suspended(
    harness: Harness,
) -> None:
    phase = FirstOfAll(harness.trainer, runs_for_ever())
    harness.on("suspended-*-pool-0", phase)
    searches = at_the_same_moment(harness, "suspended", 2)
    holder = phase.search(0, searches)
    (other,) = (search for search in searches if search is not holder)
    other.until(lambda: waits_for_the_pool(other))
    harness.operator.kill()
    harness.operator.start()
    holder.until(lambda: holder.status["teachers"]["progress"] == "0/2")
    assert holder.job("-pool-0") is not None
    assert len(phase.pods) == 1
    holder.patch(suspend=True)
    assert phase.search(1, searches) is other
    other.until_phase("Succeeded")
    holder.patch(suspend=False)
    holder.until_phase("Succeeded")
    assert pool_starts(holder) == ["phase-0", "phase-0", "phase-1"]


def test_pool_phase_that_failed_under_one_search_is_retried_by_another(harness: Harness) -> None:
    spec = {"teachers": {"phases": TWO_PHASES}}
    fails = exits(1, work=harness.trainer.begin, log="no space for me\n")
    harness.on("failed-0-pool-0", fails)
    holder = harness.begin("failed-0", spec, trials=1, seed=0).until_phase("Failed")
    # Only now: a search that waited could set the failure aside before the first has seen it.
    other = harness.begin("failed-1", spec, holder.namespace, trials=1, seed=1)
    other.until_phase("Succeeded")
    assert pool_starts(other) == ["phase-0", "phase-0", "phase-1"]
    assert holder.phase == "Failed"
    assert "no space for me" in holder.condition("Degraded")["message"]


@pytest.fixture(scope="module")
def trained(harness: Harness) -> Search:
    return harness.begin("trained", trials=1).until_phase("Succeeded")


def test_supplied_pool_is_used_and_never_trained(harness: Harness, trained: Search) -> None:
    before, pool = pool_objects(trained), trained.status["teachers"]["pool"]
    phases = trained.body["spec"]["teachers"]["phases"]
    teachers = {"pool": pool, "phases": phases, "seed": 5}
    given = harness.begin("given", {"teachers": teachers}, trained.namespace, trials=1)
    given.until_phase("Succeeded")
    assert not any("-pool-" in name for name in given.jobs())
    assert pool_objects(trained) == before


def test_supplied_pool_that_cannot_be_used_is_named_and_runs_no_job(
    harness: Harness, trained: Search
) -> None:
    phases = trained.body["spec"]["teachers"]["phases"]
    pool = str(trained.status["teachers"]["pool"])
    absent = {"pool": f"{pool[:-4]}0000", "phases": phases}
    missing = harness.begin("absent-pool", {"teachers": absent}, trained.namespace)
    wide = {"pool": pool, "phases": phases, "widths": ["1.0", "2.0"]}
    unfit = harness.begin("unfit-pool", {"teachers": wide}, trained.namespace)
    foreign = harness.begin("foreign-pool", {"teachers": {"pool": pool, "phases": phases}})
    missing.until_condition("Degraded", "True", "PoolMissing")
    unfit.until_condition("Degraded", "True", "PoolMismatch")
    assert "spec.teachers.widths" in unfit.condition("Degraded")["message"]
    foreign.until_condition("Accepted", "False", "PoolForbidden")
    assert [search.jobs() for search in (missing, unfit, foreign)] == [{}, {}, {}]
