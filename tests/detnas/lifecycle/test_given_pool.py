"""A pool that a search names: used as it is, never trained; and pools that others failed at."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.pools.retry import retry_failed_pool
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.supplied import SuppliedInputs
from detnas.plan.stages import Phase, Verb, plan
from detnas.records.results import Outcome, PoolPhaseResult
from detnas.store import Store
from detnas.store.artifacts import canonical_json, load_record
from tests.detnas.lifecycle.pretended_searches import Scheduler, tiny

PHASES = [{"epochs": 1, "learningRate": "0.1"}, {"epochs": 1, "learningRate": "0.05"}]


def trained_pool(store: Store, scheduler: Scheduler) -> str:
    scheduler.run(tiny(store, "one", trials=1))
    scheduler.done.clear()
    (digest,) = store.folders("local/pools/")
    return f"{store.uri}/local/pools/{digest}"


def objects(store: Store, folder: str) -> dict[str, bytes | None]:
    return {key: getattr(store.get(key), "data", None) for key in store.list(f"{folder}/")}


def naming(pool: str, **teachers: Any) -> dict[str, Any]:
    return {"teachers": {"pool": pool, "phases": PHASES, **teachers}}


def test_it_is_used_and_left_as_it_is(store: Store, scheduler: Scheduler) -> None:
    pool = trained_pool(store, scheduler)
    before = objects(store, "local/pools")
    # Another seed, other training: by its digest it would be another pool.
    spec = naming(pool, seed=5, batchSize=16)
    state = scheduler.run(tiny(store, "two", spec, trials=2))
    assert (scheduler.ran(Verb.POOL), state.trials) == ([], 2)
    assert objects(store, "local/pools") == before


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"supernet": {"neck": 128}}, "spec.teachers.supernet"),
        ({"depths": {"max": [2, 2, 6, 2]}}, "spec.teachers.depths"),
        ({"widths": ["1.0", "1.5"]}, "spec.teachers.widths"),
        ({"phases": PHASES[:1]}, "spec.teachers.phases"),
    ],
)
def test_what_does_not_fit_is_named_before_any_job_runs(
    store: Store, scheduler: Scheduler, spec: dict[str, Any], field: str
) -> None:
    pool = trained_pool(store, scheduler)
    with pytest.raises(BlockedError, match=field) as refused:
        scheduler.run(tiny(store, "two", naming(pool, **spec)))
    assert refused.value.reason == "PoolMismatch"
    assert scheduler.done == []


def test_its_classes_are_compared_once_they_are_known(store: Store, tmp_path: Path) -> None:
    pool = trained_pool(store, Scheduler(tmp_path))
    other = Scheduler(
        tmp_path, {Verb.PREPARE: lambda r: r.model_copy(update={"classes": ("cat", "cow")})}
    )
    with pytest.raises(BlockedError, match="cat, cow, and the pool .* has cat, dog"):
        other.run(tiny(store, "two", naming(pool)))


def test_one_that_is_not_trained_yet_is_waited_for(store: Store, scheduler: Scheduler) -> None:
    pool = trained_pool(store, scheduler)
    result = f"{pool.removeprefix(f'{store.uri}/')}/phase-1/result.json"
    held = store.get(result)
    assert held is not None
    store.delete(result)
    two = tiny(store, "two", naming(pool), trials=1)
    with pytest.raises(BlockedError, match="1 of 2 phases") as unfinished:
        scheduler.run(two)
    assert unfinished.value.reason == "PoolUnfinished"
    store.put(result, held.data)
    assert scheduler.run(two).trials == 1
    assert scheduler.ran(Verb.POOL) == []


def test_one_whose_weights_are_gone_is_left_alone_until_it_is_mended(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler)
    folder = f"{pool.removeprefix(f'{store.uri}/')}/phase-1"
    (weights,) = (key for key in store.list(f"{folder}/") if key.endswith(".safetensors"))
    held = store.get(weights)
    assert held is not None
    store.delete(weights)
    before = objects(store, "local/pools")
    two = tiny(store, "two", naming(pool), trials=1)
    with pytest.raises(BlockedError, match="of phase 1 its result names weights .* not in the"):
        scheduler.run(two)
    assert objects(store, "local/pools") == before, "it is others' to mend"
    store.put(weights, held.data)
    assert scheduler.run(two).trials == 1
    assert scheduler.ran(Verb.POOL) == []


def test_one_that_was_trained_anew_meanwhile_is_used_as_it_is_then(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler)
    folder = f"{pool.removeprefix(f'{store.uri}/')}/phase-1"
    result = load_record(store, f"{folder}/result.json", PoolPhaseResult)
    assert result is not None
    held = store.get(result.weights.key)
    assert held is not None
    store.delete(result.weights.key)
    two = tiny(store, "two", naming(pool), trials=1)
    scheduler.prepare(two)
    reader, given = SearchReader(store, two.requests), SuppliedInputs(two)
    reader.read()
    with pytest.raises(BlockedError):
        given.settle(reader)
    weights = result.weights.model_copy(
        update={"key": f"{folder}/{'e' * 64}.safetensors", "sha256": "e" * 64}
    )
    store.put(weights.key, held.data)
    anew = result.model_copy(update={"files": {"weights": weights}})
    store.put(f"{folder}/result.json", canonical_json(anew))
    reader.read()
    assert given.settle(reader).pool[1].weights == weights


def test_one_that_another_search_trained_is_seen_to_before_it_is_taken_up(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler).removeprefix(f"{store.uri}/")
    (weights,) = (key for key in store.list(f"{pool}/phase-0/") if key.endswith(".safetensors"))
    store.delete(weights)
    two = tiny(store, "two", trials=1)
    with pytest.raises(BlockedError, match="of phase 0 its result names weights") as damaged:
        scheduler.run(two)
    assert damaged.value.reason == "PoolDamaged"
    assert f"delete {pool}/phase-0/result.json, and" in damaged.value.remedy
    store.delete(f"{pool}/phase-0/result.json")
    assert scheduler.run(two).trials == 1
    assert scheduler.ran(Verb.POOL) == [0]
    assert SearchReader(store, two.requests).read().ending is not None


def test_one_that_is_not_there_is_missing(store: Store, scheduler: Scheduler) -> None:
    two = tiny(store, "two", naming(f"{store.uri}/local/pools/0123"))
    with pytest.raises(BlockedError) as missing:
        scheduler.run(two)
    assert missing.value.reason == "PoolMissing"


@pytest.mark.parametrize(
    "uri", ["s3://elsewhere/local/pools/01", "/local/searches/01", "/pools/01", "/local/pools"]
)
def test_it_lies_in_the_searchs_own_store(store: Store, uri: str) -> None:
    with pytest.raises(BlockedError, match=r"NAMESPACE/pools/DIGEST"):
        pool_key(uri if "://" in uri else f"{store.uri}{uri}", store.uri)


def test_a_finished_search_outlives_its_pool(store: Store, scheduler: Scheduler) -> None:
    one = tiny(store, "one", trials=2)
    scheduler.run(one)
    for key in list(store.list("local/pools/")):
        store.delete(key)
    state = SearchReader(store, one.requests).read()
    assert plan(state.observation, one.requests.spec).phase is Phase.SUCCEEDED


class Pair:
    """Two searches of one pool, of which the first fails at it."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self.store = store
        self.one, self.two = tiny(store, "one"), tiny(store, "two", seed=9)
        scheduler.answers[Verb.POOL] = lambda result: result.model_copy(
            update={"outcome": Outcome.OUT_OF_MEMORY, "message": "too small", "files": {}}
        )
        scheduler.run(self.one)
        scheduler.prepare(self.two)
        self.hold_and_release(self.one)

    def claim(self, search: StoredSearch) -> PoolLease:
        (digest,) = self.store.folders("local/pools/")
        key = f"local/pools/{digest}/claim.json"
        return PoolLease(self.store, key, search.requests.search)

    def hold_and_release(self, search: StoredSearch) -> None:
        claim = self.claim(search)
        assert claim.hold()
        claim.release()

    def retry(self, search: StoredSearch) -> tuple[str, int]:
        """What is tried again, and how many phases the search then knows."""
        reader = SearchReader(self.store, search.requests)
        reader.read()
        retried = retry_failed_pool(self.store, search.requests, reader, self.claim(search))
        return retried, len(reader.state.pool)


@pytest.fixture
def pair(store: Store, scheduler: Scheduler) -> Pair:
    return Pair(store, scheduler)


def test_who_failed_itself_has_failed(pair: Pair) -> None:
    assert pair.retry(pair.one) == ("", 1)


def test_what_failed_under_another_search_is_tried_again(pair: Pair, scheduler: Scheduler) -> None:
    folder, known = pair.retry(pair.two)
    assert folder.endswith("/phase-0")
    assert known == 0
    assert any("/failed-" in key for key in pair.store.list(f"{folder}/"))
    del scheduler.answers[Verb.POOL]
    assert scheduler.run(pair.two).trials == 6
    assert SearchReader(pair.store, pair.one.requests).read().pool[0].outcome is Outcome.SUCCEEDED


def test_two_searches_do_not_fail_in_turns(pair: Pair, scheduler: Scheduler) -> None:
    for search in (pair.two, pair.one):
        folder, _ = pair.retry(search)
        assert folder
        scheduler.run(search)  # it fails again
        pair.hold_and_release(search)
    for search in (pair.two, pair.one, pair.two):
        assert pair.retry(search) == ("", 1)


def test_while_a_third_search_tries_it_the_others_wait(pair: Pair) -> None:
    third = tiny(pair.store, "three", seed=11)
    assert pair.claim(third).hold()
    assert pair.retry(pair.two) == ("", 0)
    (digest,) = pair.store.folders("local/pools/")
    assert pair.store.size(f"local/pools/{digest}/phase-0/result.json") is not None
