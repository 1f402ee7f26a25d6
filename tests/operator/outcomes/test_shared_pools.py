"""Searches with equal teachers share one pool: one trains it, the others wait and take over."""

import asyncio
from functools import partial

import pytest

from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import exits, runs_for_ever
from tests.operator.outcomes.stage import Search, Stage

ROOMS = 5
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


def at_the_same_moment(stage: Stage, name: str, count: int) -> list[Search]:
    """Searches of one namespace that share a pool of two phases."""
    room = stage.room()
    spec = {"teachers": {"phases": TWO_PHASES}, "storage": {"onDelete": "Delete"}}
    found = [
        stage.search(f"{name}-{number}", spec, room, trials=1, seed=number)
        for number in range(count)
    ]
    return [search.apply() for search in found]


def pool_starts(search: Search) -> list[str]:
    return [key.rpartition("/")[2] for key in search.starts if "/pools/" in key]


def pool_objects(search: Search) -> dict[str, int | None]:
    store = search.store
    return {key: store.size(key) for key in store.list(f"{search.namespace}/pools/")}


def waits_for_the_pool(search: Search) -> bool:
    return search.says("TeachersReady", "False", "WaitingForPool")


def is_gone(search: Search) -> bool:
    return not search.is_there


def test_one_trains_the_others_wait_and_one_takes_over_when_it_is_deleted(stage: Stage) -> None:
    phase = FirstOfAll(stage.trainer, runs_for_ever())
    stage.on("deleted-*-pool-1", phase)
    searches = at_the_same_moment(stage, "deleted", 3)
    holder = phase.search(0, searches)
    others = [search for search in searches if search is not holder]
    for search in others:
        search.until(partial(waits_for_the_pool, search))
        assert f"search {holder.name} " in search.condition("TeachersReady")["message"]
        assert search.name + "-pool" not in str([job["metadata"]["name"] for job in search.jobs()])
    assert pool_starts(holder) == ["phase-0", "phase-1"]
    holder.delete()
    holder.until(lambda: not holder.is_there)
    heir = phase.search(1, others)
    for search in others:
        search.until_phase("Succeeded")
    assert pool_starts(heir) == ["phase-0", "phase-1", "phase-1"]
    attempts = [
        key for key in pool_objects(heir) if key.endswith("phase-1/attempts/2/attempt.json")
    ]
    assert len(attempts) == 1, "it goes on in the folder of the first, from its checkpoint"
    (idle,) = (search for search in others if search is not heir)
    assert not any("-pool-" in job["metadata"]["name"] for job in idle.jobs())
    kept = pool_objects(heir)
    for search in others:
        search.delete()
    for search in others:
        search.until(partial(is_gone, search))
        assert list(search.store.list(f"{search.folder}/")) == []
    assert pool_objects(heir) == kept, "searches' data was deleted as asked, and no pool's"


def test_an_operator_that_died_goes_on_and_a_suspended_search_lets_another_train(
    stage: Stage,
) -> None:
    phase = FirstOfAll(stage.trainer, runs_for_ever())
    stage.on("suspended-*-pool-0", phase)
    searches = at_the_same_moment(stage, "suspended", 2)
    holder = phase.search(0, searches)
    (other,) = (search for search in searches if search is not holder)
    other.until(lambda: waits_for_the_pool(other))
    stage.operator.kill()
    stage.operator.start()
    holder.until(lambda: holder.status["teachers"]["progress"] == "0/2")
    assert holder.job("-pool-0") is not None
    assert len(phase.pods) == 1
    holder.patch(suspend=True)
    assert phase.search(1, searches) is other
    other.until_phase("Succeeded")
    holder.patch(suspend=False)
    holder.until_phase("Succeeded")
    assert pool_starts(holder) == ["phase-0", "phase-0", "phase-1"]


def test_what_failed_under_one_search_is_tried_by_the_other(stage: Stage) -> None:
    phase = FirstOfAll(stage.trainer, exits(1, log="no space for me\n"))
    stage.on("failed-*-pool-0", phase)
    room = stage.room()
    spec = {"teachers": {"phases": TWO_PHASES}, "limits": {"retries": 0}}
    searches = [stage.search(f"failed-{n}", spec, room, trials=1, seed=n).apply() for n in (0, 1)]
    holder = phase.search(0, searches)
    (other,) = (search for search in searches if search is not holder)
    other.until_phase("Succeeded")
    assert holder.phase == "Failed"
    assert "no space for me" in holder.condition("Degraded")["message"]


@pytest.fixture(scope="module")
def trained(stage: Stage) -> Search:
    return stage.begun("trained", trials=1).until_phase("Succeeded")


def test_a_given_pool_is_used_and_never_trained(stage: Stage, trained: Search) -> None:
    before, pool = pool_objects(trained), trained.status["teachers"]["pool"]
    phases = trained.body["spec"]["teachers"]["phases"]
    teachers = {"pool": pool, "phases": phases, "seed": 5}
    given = stage.begun("given", {"teachers": teachers}, trained.namespace, trials=1)
    given.until_phase("Succeeded")
    assert not any("-pool-" in job["metadata"]["name"] for job in given.jobs())
    assert pool_objects(trained) == before


def test_a_given_pool_that_can_not_be_used_is_named(stage: Stage, trained: Search) -> None:
    phases = trained.body["spec"]["teachers"]["phases"]
    pool = str(trained.status["teachers"]["pool"])
    absent = {"pool": f"{pool[:-4]}0000", "phases": phases}
    missing = stage.begun("absent-pool", {"teachers": absent}, trained.namespace)
    wide = {"pool": pool, "phases": phases, "widths": ["1.0", "2.0"]}
    unfit = stage.begun("unfit-pool", {"teachers": wide}, trained.namespace)
    foreign = stage.begun("foreign-pool", {"teachers": {"pool": pool, "phases": phases}})
    missing.until(lambda: missing.says("Degraded", "True", "PoolMissing"))
    unfit.until(lambda: unfit.says("Degraded", "True", "PoolMismatch"))
    assert "spec.teachers.widths" in unfit.condition("Degraded")["message"]
    foreign.until(lambda: foreign.says("Accepted", "False", "PoolForbidden"))
    assert [search.jobs() for search in (missing, unfit, foreign)] == [[], [], []]
