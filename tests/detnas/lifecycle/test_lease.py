"""The lease of a pool: one holder, others wait, and an expired lease is taken."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detnas.lifecycle.pools.lease import HEARTBEAT_SECONDS, STOPPED_SECONDS, LeaseRecord, PoolLease
from detnas.store import Store, open_store
from detnas.store.artifacts import load_record
from detnas.store.errors import StoreUnavailable
from tests.seaweed import S3Server

KEY = "local/pools/0123/claim.json"


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "directory":
        return open_store((tmp_path / "store").as_uri())
    server: S3Server = request.getfixturevalue("s3_environment")
    return open_store(f"s3://{server.bucket}/{tmp_path.name}")


def lease(store: Store, holder: str, time: Time) -> PoolLease:
    return PoolLease(store, KEY, holder, time, time.now)


def test_hold_of_a_held_lease_fails_and_names_the_holder(store: Store) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    assert first.hold()
    assert not second.hold()
    assert (first.held, second.held, second.other) == (True, False, "first")


def test_hold_that_loses_a_race_names_the_holder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    real = store.get

    def nothing_yet(_: str) -> None:
        monkeypatch.setattr(store, "get", real)
        assert first.hold()

    monkeypatch.setattr(store, "get", nothing_yet)
    assert not second.hold()
    assert (second.held, second.other) == (False, "first")


def test_hold_renews_the_lease_with_each_heartbeat(store: Store) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    for _ in range(int(3 * STOPPED_SECONDS / HEARTBEAT_SECONDS)):
        assert first.hold()
        assert not second.hold()
        time.seconds += HEARTBEAT_SECONDS


def test_renew_keeps_a_held_lease_and_takes_none(store: Store) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    first.renew()
    assert not first.held, "it was not taken"
    assert first.hold()
    for _ in range(20):  # no hold of the first
        time.seconds += HEARTBEAT_SECONDS
        first.renew()
        assert not second.hold()
    first.release()
    first.renew()
    assert second.hold()


def test_hold_takes_a_lease_without_heartbeats_and_its_holder_notices(store: Store) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    assert first.hold()
    assert not second.hold()
    time.seconds += STOPPED_SECONDS
    assert not second.hold()
    time.seconds += 1
    assert second.hold()
    assert not first.hold()
    assert (first.held, first.other) == (False, "second")


def test_hold_by_several_of_an_expired_lease_succeeds_once(store: Store) -> None:
    time = Time()
    dead = lease(store, "dead", time)
    assert dead.hold()
    waiting = [lease(store, name, time) for name in ("a", "b", "c")]
    assert not any(one.hold() for one in waiting)
    time.seconds += STOPPED_SECONDS + 1
    assert [one.hold() for one in waiting] == [True, False, False]


def test_hold_ignores_clocks_of_other_machines(store: Store) -> None:
    ahead, behind = Time(), Time()
    ahead.seconds = 1e6
    first, second = lease(store, "first", ahead), lease(store, "second", behind)
    assert first.hold()
    assert not second.hold()
    behind.seconds = 10
    assert not second.hold()


def test_hold_after_a_restart_succeeds_at_once(store: Store) -> None:
    time = Time()
    assert lease(store, "first", time).hold()
    time.seconds += 1
    assert lease(store, "first", time).hold()


def test_hold_after_a_restart_writes_no_heartbeat_before_it_is_due(store: Store) -> None:
    time = Time()
    assert lease(store, "first", time).hold()
    written = store.get(KEY)
    time.seconds += HEARTBEAT_SECONDS - 1
    again = lease(store, "first", time)
    assert again.hold()
    assert store.get(KEY) == written
    time.seconds += 1
    assert again.hold()
    assert store.get(KEY) != written


def test_hold_of_a_released_lease_succeeds_at_once(store: Store) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    assert first.hold()
    first.release()
    assert second.hold()
    first.release()  # another's lease is left alone
    record = load_record(store, KEY, LeaseRecord)
    assert record is not None
    assert (record.holder, record.released) == ("second", False)


def test_release_after_a_restart_releases_the_own_lease_only(store: Store) -> None:
    time = Time()
    assert lease(store, "first", time).hold()
    again, second = lease(store, "first", time), lease(store, "second", time)
    assert not second.hold()
    again.release()
    assert not again.held
    assert second.hold()
    again.release()
    lease(store, "first", time).release()  # also by a side that has not read it
    assert second.hold()
    record = load_record(store, KEY, LeaseRecord)
    assert record is not None
    assert (record.holder, record.released) == ("second", False)


def test_release_that_failed_in_the_store_can_be_repeated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    first, second = lease(store, "first", time), lease(store, "second", time)
    assert first.hold()

    def is_away(*_: object) -> None:
        raise StoreUnavailable("the store is away", "wait")

    with monkeypatch.context() as away:
        away.setattr(store, "put_if_match", is_away)
        with pytest.raises(StoreUnavailable):
            first.release()
    first.release()
    assert second.hold()
