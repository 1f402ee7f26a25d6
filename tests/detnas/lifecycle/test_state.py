"""A session's state equals what a new process reads, whatever happened in between."""

from pathlib import Path
from random import Random
from typing import cast

from detnas.lifecycle.reading.state import SearchReader
from detnas.records import keys
from detnas.store import Store
from tests.detnas.lifecycle.test_job_requests import end_trial
from tests.detnas.searches.in_process import Scheduler, session_of, tiny


def test_refresh_equals_a_first_read_after_every_change(store: Store, tmp_path: Path) -> None:
    search = tiny(store, "one", trials=30, parallelism=3)
    Scheduler(tmp_path, unanswered=range(30)).run(search)
    requests, random = search.requests, Random(0)
    session = session_of(search)
    ended: set[int] = set()

    def compare() -> None:
        fresh = SearchReader(store, requests).read()
        assert session.refresh() == fresh
        ended.add(fresh.history.summary.finished_count)

    compare()
    while running := session.state.history.in_flight:
        ending = random.sample(running, random.randint(0, len(running)))
        for proposal in ending:
            end_trial(proposal.index, requests.search, store, tmp_path)
        compare()
        list(session.propose(len(ending)))
        session.tidy()
        compare()
        compare()
    assert len(ended) > 6
    assert session.state.end is not None
    assert session.state.final_stages is not None


def test_read_of_a_search_with_a_snapshot_asks_for_no_consumers_of_the_base(
    store: Store, tmp_path: Path
) -> None:
    search = tiny(store, "one", trials=8, parallelism=1)
    Scheduler(tmp_path).run(search)
    calls: list[str] = []

    class Recording:
        def __getattr__(self, verb: str) -> object:
            def call(key: str, *rest: object) -> object:
                calls.append(f"{verb} {key}")
                return getattr(store, verb)(key, *rest)

            return getattr(store, verb) if verb == "uri" else call

    read = SearchReader(cast("Store", Recording()), search.requests).read()
    assert read == SearchReader(store, search.requests).read()
    first = keys.request_key(keys.trial_folder(search.requests.search, 0))
    assert f"size {first}" not in calls
    snapshot = f"get {keys.ledger_snapshot(search.requests.search)}"
    assert calls.count(snapshot) == 1
