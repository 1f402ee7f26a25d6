"""A reader that goes on knows what one that starts anew reads, whatever happened in between."""

from pathlib import Path
from random import Random
from typing import cast

from detnas.ledger.history import write_segments
from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.reading.state import SearchReader
from detnas.records import keys
from detnas.store import Store
from tests.detnas.lifecycle.pretended_searches import Scheduler, tiny
from tests.detnas.lifecycle.test_requesting import end_trial


def test_what_is_decided_stays_what_a_restart_would_decide(store: Store, tmp_path: Path) -> None:
    search = tiny(store, "one", trials=30, parallelism=3)
    Scheduler(tmp_path, unanswered=range(30)).run(search)
    requests, random = search.requests, Random(0)
    reader = SearchReader(store, requests)
    requesting = JobRequests(store, requests, reader)
    decisions = []

    def look() -> None:
        fresh = SearchReader(store, requests).read()
        assert reader.read() == fresh
        decisions.append(fresh.decision)

    look()
    while running := reader.state.history.in_flight:
        ended = random.sample(running, random.randint(0, len(running)))
        for proposal in ended:
            end_trial(proposal.index, requests.search, store, tmp_path)
        look()
        list(requesting.propose(len(ended)))
        reader.remember(write_segments(store, requests.search, reader.state.history))
        look()
        look()
    assert len({str(decision) for decision in decisions}) > 6
    assert reader.state.finished is not None
    assert reader.state.ending is not None


def test_reader_takes_consumers_of_the_base_from_the_snapshot(store: Store, tmp_path: Path) -> None:
    search = tiny(store, "one", trials=8, parallelism=1)
    Scheduler(tmp_path).run(search)
    asked: list[str] = []

    class Noting:
        def __getattr__(self, verb: str) -> object:
            def ask(key: str, *rest: object) -> object:
                asked.append(f"{verb} {key}")
                return getattr(store, verb)(key, *rest)

            return getattr(store, verb) if verb == "uri" else ask

    read = SearchReader(cast("Store", Noting()), search.requests).read()
    assert read == SearchReader(store, search.requests).read()
    first = keys.request_key(keys.trial_folder(search.requests.search, 0))
    assert f"size {first}" not in asked
    snapshot = f"get {keys.ledger_snapshot(search.requests.search)}"
    assert asked.count(snapshot) == 1
