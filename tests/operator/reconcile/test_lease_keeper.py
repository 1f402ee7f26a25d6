"""Leases are renewed without a reconcile, and one that fails delays no other."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from detnas.lifecycle.pools.lease import PoolLease
from detnas.store import open_store
from detnas.store.errors import StoreUnavailable
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.controller.lease_keeper import LeaseKeeper
from detnas_operator.search_jobs.jobs import SearchJobs, trains_pool
from tests.operator.job.objects import a_job


class Unreachable(PoolLease):
    """Its store does not answer."""

    def __init__(self) -> None: ...

    def renew(self) -> None:
        raise StoreUnavailable("no answer")


def test_renew_renews_held_leases_without_a_reconcile(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    moment, key = [0.0], "team-a/pools/1/claim.json"

    def now() -> datetime:
        return datetime.fromtimestamp(moment[0], UTC)

    ours, theirs = (
        PoolLease(store, key, holder, lambda: moment[0], now) for holder in ("ours", "theirs")
    )
    assert ours.hold()
    keeper = LeaseKeeper(lambda: [Unreachable(), ours])
    for _ in range(10):
        moment[0] += 15.0
        keeper.renew()
        assert not theirs.hold()
    assert ours.held


def test_lease_keeper_continues_after_any_error() -> None:
    looks: list[int] = []
    seen = threading.Event()

    def leases() -> list[PoolLease]:
        looks.append(len(looks))
        if len(looks) > 2:
            seen.set()
        raise RuntimeError

    keeper = LeaseKeeper(leases, seconds=0.01)
    keeper.start()
    assert seen.wait(60)
    keeper.stop()


COMPLETE = {"Complete": ("CompletionsReached", "")}
FAILED = {"Failed": ("BackoffLimitExceeded", "")}


@pytest.mark.parametrize(
    ("name", "job", "trains"),
    [
        ("one-pool-0", {}, True),
        ("one-pool-1", {"deleted": True}, True),
        ("one-pool-0", {"spec": {"suspend": True}}, True),
        ("one-pool-0", {"conditions": COMPLETE}, False),
        ("one-pool-0", {"conditions": FAILED}, False),
        ("one-base", {}, False),
        ("one-t0001", {}, False),
        ("other-pool-0", {}, False),
    ],
)
def test_trains_pool_until_its_job_has_ended(name: str, job: dict[str, Any], trains: bool) -> None:
    cache, key = ClusterCache(), SearchKey("team-a", "one")
    made = a_job(**job)
    owner = {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "name": "one",
        "uid": "u-1",
        "controller": True,
    }
    made.body["metadata"] |= {"name": name, "uid": name, "ownerReferences": [owner]}
    cache.put_job(made.body)
    assert trains_pool(SearchJobs(cast("KubernetesClient", None), cache, key, "u-1")) is trains
