"""One trains a pool, others wait, and who stops is followed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detnas.lifecycle.pools.lease import HEARTBEAT_SECONDS, STOPPED_SECONDS, Claim, PoolLease
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


def claim(store: Store, holder: str, time: Time) -> PoolLease:
    return PoolLease(store, KEY, holder, time, time.now)


def test_the_first_holds_it_and_the_second_learns_who_does(store: Store) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    assert first.hold()
    assert not second.hold()
    assert (first.held, second.held, second.other) == (True, False, "first")


def test_who_loses_a_race_learns_who_won(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    real = store.get

    def nothing_yet(_: str) -> None:
        monkeypatch.setattr(store, "get", real)
        assert first.hold()

    monkeypatch.setattr(store, "get", nothing_yet)
    assert not second.hold()
    assert (second.held, second.other) == (False, "first")


def test_a_claim_is_kept_as_long_as_its_heart_beats(store: Store) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    for _ in range(int(3 * STOPPED_SECONDS / HEARTBEAT_SECONDS)):
        assert first.hold()
        assert not second.hold()
        time.seconds += HEARTBEAT_SECONDS


def test_it_is_kept_up_beside_whoever_takes_and_releases_it(store: Store) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    first.keep_up()
    assert not first.held, "nobody took it"
    assert first.hold()
    for _ in range(20):  # no pass of the first for as long
        time.seconds += HEARTBEAT_SECONDS
        first.keep_up()
        assert not second.hold()
    first.release()
    first.keep_up()
    assert second.hold()


def test_a_claim_whose_heart_stopped_is_taken_over_and_the_first_learns_it(store: Store) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    assert first.hold()
    assert not second.hold()
    time.seconds += STOPPED_SECONDS
    assert not second.hold()
    time.seconds += 1
    assert second.hold()
    assert not first.hold()
    assert (first.held, first.other) == (False, "second")


def test_only_one_of_several_takes_over(store: Store) -> None:
    time = Time()
    dead = claim(store, "dead", time)
    assert dead.hold()
    waiting = [claim(store, name, time) for name in ("a", "b", "c")]
    assert not any(one.hold() for one in waiting)
    time.seconds += STOPPED_SECONDS + 1
    assert [one.hold() for one in waiting] == [True, False, False]


def test_another_machines_clock_does_not_matter(store: Store) -> None:
    ahead, behind = Time(), Time()
    ahead.seconds = 1e6
    first, second = claim(store, "first", ahead), claim(store, "second", behind)
    assert first.hold()
    assert not second.hold()
    behind.seconds = 10
    assert not second.hold()


def test_a_restarted_search_goes_on_at_once(store: Store) -> None:
    time = Time()
    assert claim(store, "first", time).hold()
    time.seconds += 1
    assert claim(store, "first", time).hold()


def test_a_restarted_search_writes_no_heartbeat_before_it_is_due(store: Store) -> None:
    time = Time()
    assert claim(store, "first", time).hold()
    written = store.get(KEY)
    time.seconds += HEARTBEAT_SECONDS - 1
    again = claim(store, "first", time)
    assert again.hold()
    assert store.get(KEY) == written
    time.seconds += 1
    assert again.hold()
    assert store.get(KEY) != written


def test_a_released_claim_is_free_at_once(store: Store) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    assert first.hold()
    first.release()
    assert second.hold()
    first.release()  # what is no longer ours is left alone
    record = load_record(store, KEY, Claim)
    assert record is not None
    assert (record.holder, record.released) == ("second", False)


def test_a_restarted_search_releases_what_it_held_before(store: Store) -> None:
    time = Time()
    assert claim(store, "first", time).hold()
    again, second = claim(store, "first", time), claim(store, "second", time)
    assert not second.hold()
    again.release()
    assert not again.held
    assert second.hold()
    again.release()
    claim(store, "first", time).release()  # nor is another's, by who has yet to learn it
    assert second.hold()
    record = load_record(store, KEY, Claim)
    assert record is not None
    assert (record.holder, record.released) == ("second", False)


def test_a_release_that_did_not_reach_the_store_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    first, second = claim(store, "first", time), claim(store, "second", time)
    assert first.hold()

    def is_away(*_: object) -> None:
        raise StoreUnavailable("the store is away", "wait")

    with monkeypatch.context() as away:
        away.setattr(store, "put_if_match", is_away)
        with pytest.raises(StoreUnavailable):
            first.release()
    first.release()
    assert second.hold()
