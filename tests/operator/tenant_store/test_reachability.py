"""A store that is away costs one search a timeout, and the others nothing."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from detnas.store.errors import NotFound, StoreUnavailable, StoreUnreachable
from detnas.store.s3 import S3Store
from detnas_operator.tenant_store.reachability import PAUSE_SECONDS, Reachability
from detnas_operator.tenant_store.stores import Stores

ROOT = "s3://lab/detnas"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def away() -> Iterator[None]:
    with pytest.raises(StoreUnreachable, match="is away"):
        yield


def ask(reachability: Reachability, error: Exception | None = None) -> None:
    with reachability.request():
        if error is not None:
            raise error


def fail() -> None:
    raise GONE


GONE = StoreUnreachable("the store is away", "wait")


def test_reachability_allows_one_request_after_a_pause() -> None:
    clock = Clock()
    reachability = Reachability(clock)
    with away():
        ask(reachability, GONE)
    asked = AssertionError("it was asked")
    for clock.now in (0.0, PAUSE_SECONDS - 0.1):
        with away():
            ask(reachability, asked)
    clock.now = PAUSE_SECONDS
    with away(), reachability.request():
        with away():  # meanwhile the others do not
            ask(reachability, asked)
        fail()
    with away():
        ask(reachability, asked)
    clock.now = 2 * PAUSE_SECONDS
    ask(reachability)
    ask(reachability)


@pytest.mark.parametrize("error", [NotFound("no such object"), StoreUnavailable("500", "wait")])
def test_reachability_counts_any_answer(error: Exception) -> None:
    reachability = Reachability(Clock())
    with pytest.raises(type(error)):
        ask(reachability, error)
    ask(reachability)


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Roots that were probed, each for a while and in vain."""
    probed: list[str] = []

    def probe(store: S3Store) -> None:
        probed.append(store.uri)
        time.sleep(0.5)
        raise GONE

    monkeypatch.setattr(S3Store, "probe", probe)
    return probed


def test_stores_share_one_probe_of_an_absent_store(probes: list[str]) -> None:
    stores, failed = Stores(shared_pools=False, workers=8), []

    def open_it(number: int) -> None:
        try:
            stores.open(ROOT, f"team-{number % 3}")
        except StoreUnreachable as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it, args=(number,)) for number in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert time.monotonic() - began < 8 * 0.5
    assert len(failed) == 8
    assert probes == [ROOT]


def test_stores_have_enough_connections_for_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(S3Store, "probe", lambda _store: None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for workers, kept in ((1, 16), (8, 128), (256, 512)):
        stores = Stores(shared_pools=False, workers=workers)
        assert stores.client().meta.config.max_pool_connections == kept
