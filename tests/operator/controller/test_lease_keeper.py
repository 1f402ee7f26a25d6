"""Leases are renewed without a pass, and one that fails delays no other."""

import threading
from datetime import UTC, datetime
from pathlib import Path

from detnas.lifecycle.pools.lease import PoolLease
from detnas.store import open_store
from detnas.store.errors import StoreUnavailable
from detnas_operator.controller.lease_keeper import LeaseKeeper


class Unreachable(PoolLease):
    """Its store does not answer."""

    def __init__(self) -> None: ...

    def renew(self) -> None:
        raise StoreUnavailable("no answer")


def test_lease_keeper_renews_held_leases_without_a_pass(tmp_path: Path) -> None:
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
