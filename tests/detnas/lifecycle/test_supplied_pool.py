"""A supplied pool is used unchanged; a pool that failed under another search is retried."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.record import StoredSearch
from detnas.plan.stages import Phase, plan
from detnas.records.results import Outcome, PoolPhaseResult
from detnas.records.verbs import Verb
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.record_format import encode_record
from tests.cluster.searches import PHASES
from tests.detnas.searches.in_process import Scheduler, session_of, tiny


def trained_pool(store: Store, scheduler: Scheduler) -> str:
    scheduler.run(tiny(store, "one", trials=1))
    scheduler.done.clear()
    (digest,) = store.folders("local/pools/")
    return f"{store.uri}/local/pools/{digest}"


def objects(store: Store, folder: str) -> dict[str, bytes | None]:
    return {key: getattr(store.get(key), "data", None) for key in store.list(f"{folder}/")}


def supplied(pool: str, **teachers: Any) -> dict[str, Any]:
    return {"teachers": {"pool": pool, "phases": PHASES, **teachers}}


def test_search_with_a_supplied_pool_leaves_it_unchanged(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler)
    before = objects(store, "local/pools")
    # Another seed, other training: by its digest it would be another pool.
    spec = supplied(pool, seed=5, batchSize=16)
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
def test_supplied_pool_that_does_not_fit_blocks_before_any_job(
    store: Store, scheduler: Scheduler, spec: dict[str, Any], field: str
) -> None:
    pool = trained_pool(store, scheduler)
    with pytest.raises(BlockedError, match=field) as refused:
        scheduler.run(tiny(store, "two", supplied(pool, **spec)))
    assert refused.value.code == "PoolMismatch"
    assert scheduler.done == []


def test_supplied_pool_of_other_classes_blocks_after_the_data_check(
    store: Store, tmp_path: Path
) -> None:
    pool = trained_pool(store, Scheduler(tmp_path))
    other = Scheduler(
        tmp_path, {Verb.PREPARE: lambda r: r.model_copy(update={"classes": ("cat", "cow")})}
    )
    with pytest.raises(BlockedError, match="cat, cow, and the pool .* has cat, dog"):
        other.run(tiny(store, "two", supplied(pool)))


def test_supplied_pool_blocks_until_it_is_trained(store: Store, scheduler: Scheduler) -> None:
    pool = trained_pool(store, scheduler)
    result = f"{pool.removeprefix(f'{store.uri}/')}/phase-1/result.json"
    held = store.get(result)
    assert held is not None
    store.delete(result)
    two = tiny(store, "two", supplied(pool), trials=1)
    with pytest.raises(BlockedError, match="1 of 2 phases") as unfinished:
        scheduler.run(two)
    assert unfinished.value.code == "PoolUnfinished"
    store.put(result, held.data)
    assert scheduler.run(two).trials == 1
    assert scheduler.ran(Verb.POOL) == []


def test_supplied_pool_without_weights_blocks_until_it_is_repaired(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler)
    folder = f"{pool.removeprefix(f'{store.uri}/')}/phase-1"
    (weights,) = (key for key in store.list(f"{folder}/") if key.endswith(".safetensors"))
    held = store.get(weights)
    assert held is not None
    store.delete(weights)
    before = objects(store, "local/pools")
    two = tiny(store, "two", supplied(pool), trials=1)
    with pytest.raises(BlockedError, match="of phase 1 its result names weights .* not in the"):
        scheduler.run(two)
    assert objects(store, "local/pools") == before, "it is others' to repair"
    store.put(weights, held.data)
    assert scheduler.run(two).trials == 1
    assert scheduler.ran(Verb.POOL) == []


def test_supplied_pool_trained_again_while_blocked_is_read_again(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler)
    folder = f"{pool.removeprefix(f'{store.uri}/')}/phase-1"
    result = load_record(store, f"{folder}/result.json", PoolPhaseResult)
    assert result is not None
    held = store.get(result.weights.key)
    assert held is not None
    store.delete(result.weights.key)
    two = tiny(store, "two", supplied(pool), trials=1)
    scheduler.prepare(two)
    session = session_of(two)
    with pytest.raises(BlockedError):
        session.resolve_supplied()
    weights = result.weights.model_copy(
        update={"key": f"{folder}/{'e' * 64}.safetensors", "sha256": "e" * 64}
    )
    store.put(weights.key, held.data)
    retrained = result.model_copy(update={"files": {"weights": weights}})
    store.put(f"{folder}/result.json", encode_record(retrained))
    session.refresh()
    session.resolve_supplied()
    assert session.state.pool[1].weights == weights


def test_shared_pool_without_weights_blocks_until_its_phase_is_trained_again(
    store: Store, scheduler: Scheduler
) -> None:
    pool = trained_pool(store, scheduler).removeprefix(f"{store.uri}/")
    (weights,) = (key for key in store.list(f"{pool}/phase-0/") if key.endswith(".safetensors"))
    store.delete(weights)
    two = tiny(store, "two", trials=1)
    with pytest.raises(BlockedError, match="of phase 0 its result names weights") as damaged:
        scheduler.run(two)
    assert damaged.value.code == "PoolDamaged"
    assert f"delete {pool}/phase-0/result.json, and" in damaged.value.remedy
    store.delete(f"{pool}/phase-0/result.json")
    assert scheduler.run(two).trials == 1
    assert scheduler.ran(Verb.POOL) == [0]
    assert SearchReader(store, two.requests).read().final_stages is not None


def test_supplied_pool_that_does_not_exist_blocks(store: Store, scheduler: Scheduler) -> None:
    two = tiny(store, "two", supplied(f"{store.uri}/local/pools/0123"))
    with pytest.raises(BlockedError) as missing:
        scheduler.run(two)
    assert missing.value.code == "PoolMissing"


@pytest.mark.parametrize(
    "uri", ["s3://elsewhere/local/pools/01", "/local/searches/01", "/pools/01", "/local/pools"]
)
def test_pool_key_of_another_store_raises(store: Store, uri: str) -> None:
    with pytest.raises(BlockedError, match=r"NAMESPACE/pools/DIGEST"):
        pool_key(uri if "://" in uri else f"{store.uri}{uri}", store.uri)


def test_plan_of_a_finished_search_without_its_pool_is_succeeded(
    store: Store, scheduler: Scheduler
) -> None:
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

    def lease(self, search: StoredSearch) -> PoolLease:
        (digest,) = self.store.folders("local/pools/")
        key = f"local/pools/{digest}/claim.json"
        return PoolLease(self.store, key, search.requests.search)

    def retry(self, search: StoredSearch) -> tuple[str, int]:
        """Return the retried folder, and the number of phases the search then knows."""
        session = session_of(search)
        return session.resolve_supplied(), len(session.state.pool)


@pytest.fixture
def pair(store: Store, scheduler: Scheduler) -> Pair:
    return Pair(store, scheduler)


def test_retry_of_an_own_failure_does_nothing(pair: Pair) -> None:
    assert pair.retry(pair.one) == ("", 1)


def test_retry_of_a_failure_under_another_search_sets_it_aside(
    pair: Pair, scheduler: Scheduler
) -> None:
    folder, known = pair.retry(pair.two)
    assert folder.endswith("/phase-0")
    assert known == 0
    assert any("/failed-" in key for key in pair.store.list(f"{folder}/"))
    del scheduler.answers[Verb.POOL]
    assert scheduler.run(pair.two).trials == 6
    assert SearchReader(pair.store, pair.one.requests).read().pool[0].outcome is Outcome.SUCCEEDED


def test_retry_happens_once_per_search(pair: Pair, scheduler: Scheduler) -> None:
    for search in (pair.two, pair.one):
        folder, _ = pair.retry(search)
        assert folder
        scheduler.run(search)  # it fails again
    for search in (pair.two, pair.one, pair.two):
        assert pair.retry(search) == ("", 1)


def test_retry_while_another_search_holds_the_lease_waits(pair: Pair) -> None:
    third = tiny(pair.store, "three", seed=11)
    assert pair.lease(third).hold()
    assert pair.retry(pair.two) == ("", 0)
    (digest,) = pair.store.folders("local/pools/")
    assert pair.store.size(f"local/pools/{digest}/phase-0/result.json") is not None
