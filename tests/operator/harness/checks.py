"""Checks that every finished search must pass, whatever happened during it; and its Jobs."""

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import urllib3

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.ledger.summary import Summary, fold, needed
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import load_search_record
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.search.propose import propose
from detnas.store import Store
from tests.cluster.api import JOBS, ApiError
from tests.cluster.waiting import eventually
from tests.operator.harness.search import Search

MILESTONES = ("Accepted", "TeachersReady", "Succeeded")
"""Reasons of the events that every finished search has."""

PHASES = ("Preparing", "TrainingTeachers", "Searching", "FineTuning", "Exporting")


@dataclass(frozen=True)
class StoredSearch:
    """A search as its user finds it in the store."""

    store: Store
    requests: SearchRequests
    state: SearchState

    @property
    def entries(self) -> list[LedgerEntry]:
        """Its finished trials, in the order of their numbers."""
        assert self.state.scorer
        return list(read_entries(self.store, self.requests.search, self.state.scorer))


def stored(search: Search) -> StoredSearch:
    """Read a search from the store, not by way of the operator's proxy."""
    store, folder = search.store, search.stored_folder
    record = load_search_record(store, folder)
    assert record
    requests = SearchRequests(manifest=record.manifest, search=folder, folder=None)
    return StoredSearch(store, requests, SearchReader(store, requests).read())


class JobWatch:
    """Watches the Jobs in the namespaces of searches while it is open."""

    def __init__(self, *searches: Search) -> None:
        self._uids: dict[str, dict[str, set[str]]] = {one.namespace: {} for one in searches}
        self._api = searches[0].harness.cluster.api
        self._closed = threading.Event()

    def __enter__(self) -> "JobWatch":
        for namespace in self._uids:
            threading.Thread(target=self._watch, args=(namespace,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()

    def of(self, search: Search) -> dict[str, set[str]]:
        """UIDs of the Jobs in a search's namespace, by name."""
        return dict(self._uids[search.namespace])

    def _watch(self, namespace: str) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(ApiError, urllib3.exceptions.HTTPError):
                for event in self._api.watch(JOBS, namespace, timeoutSeconds="20"):
                    metadata = event["object"]["metadata"]
                    if name := metadata.get("name"):
                        self._uids[namespace].setdefault(name, set()).add(metadata["uid"])
            self._closed.wait(0.1)


def check_search(search: Search, seen: JobWatch, lost: frozenset[int] = frozenset()) -> None:
    """Check the trials, the Jobs, the weights and the status of a finished search.

    Args:
        seen: its Jobs, watched from before it began.
        lost: trials that failed as they should.
    """
    found = stored(search)
    check_decisions(found)
    assert {entry.index for entry in found.entries if entry.weights is None} == lost
    check_jobs(search, seen, expected_jobs(search.name, found))
    check_weights(found)
    check_status(search.status, found, lost)


def expected_jobs(name: str, found: StoredSearch) -> set[str]:
    """The names of the Jobs that a finished search has had."""
    spec = found.requests.spec
    return {
        *(f"{name}-{verb}" for verb in ("prepare", "base", "export")),
        *([f"{name}-finetune"] if spec.finetune else []),
        *(f"{name}-pool-{number}" for number in range(len(spec.teachers.phases))),
        *(f"{name}-t{entry.index:04d}" for entry in found.entries),
    }


def check_decisions(found: StoredSearch) -> None:
    """Every trial is what an undisturbed search would have tried with these outcomes.

    It follows from the trials before it: all had ended but the last, which was in flight.
    """
    state, spec, entries = found.state, found.requests.spec, found.entries
    assert state.scorer
    assert [entry.index for entry in entries] == list(range(len(entries)))
    for index, entry in enumerate(entries):
        summary = fold(Summary(top_k=spec.search.max_parents), entries[: max(0, index - 1)])
        in_flight = [before.proposal for before in entries[max(0, index - 1) : index]]
        decided = propose(spec.search, spec.teachers.space, state.scorer, summary, in_flight)
        assert decided == entry.proposal, f"trial {index} was decided otherwise"


def check_jobs(search: Search, seen: JobWatch, names: set[str]) -> None:
    """Each job had one Job with one pod that began its work once; nothing runs any more."""
    jobs, namespace = search.jobs(), search.namespace
    assert set(jobs) == names
    for name, job in jobs.items():
        assert job["metadata"]["ownerReferences"][0]["uid"] == search.uid
        ends = [one["type"] for one in job["status"]["conditions"] if one["status"] == "True"]
        assert {"Complete", "Failed"} & set(ends), f"{name} has not ended: {ends}"
        assert job["spec"]["ttlSecondsAfterFinished"] == 3600, name
    eventually(lambda: names <= {*seen.of(search)})
    assert {name: len(uids) for name, uids in seen.of(search).items()} == dict.fromkeys(names, 1)
    played = search.harness.player.played
    pods = Counter(pod.job for pod in played if pod.namespace == namespace)
    assert pods == dict.fromkeys(names, 1)
    starts = Counter(search.starts)
    assert set(starts.values()) == {1}, starts
    assert len(starts) == len(names)


def check_weights(found: StoredSearch) -> None:
    """What a later job or a user needs is in the store; the other weights were collected."""
    state, requests = found.state, found.requests
    ending = state.final_stages
    assert state.base
    assert ending
    assert ending.export
    assert bool(ending.tunings) == bool(requests.spec.finetune)
    for result in (state.base, *state.pool, *(job.result for job in ending.jobs)):
        for artifact in result.files.values() if result else ():
            assert is_present(found.store, artifact), artifact
    assert load_search_record(found.store, requests.search)
    keep = needed(state.history.summary, ())
    for entry in found.entries:
        if entry.weights is not None:
            retained = is_present(found.store, entry.weights)
            assert retained == (entry.index in keep), f"trial {entry.index}: {retained}"


def is_present(store: Store, artifact: Artifact) -> bool:
    """Whether the store has an artifact of the right size."""
    return store.size(artifact.key) == artifact.size


def check_status(
    status: dict[str, Any], found: StoredSearch, lost: frozenset[int] = frozenset()
) -> None:
    """The status shows what the store holds, and nothing of faults on the way."""
    total = found.requests.spec.search.trials
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions["Succeeded"] == ("True", "Exported")
    assert conditions["Degraded"] == ("False", "NothingWrong")
    assert conditions["TeachersReady"] == ("True", "Trained")
    assert status["phase"] == "Succeeded"
    assert status["trials"] == {
        "total": total,
        "finished": total,
        "succeeded": total,
        "infrastructure": len(lost),
        "progress": f"{total}/{total}",
        **dict.fromkeys(("active", "invalid", "outOfMemory", "diverged"), 0),
    }
    assert status["active"] == []
    assert {failure["trial"] for failure in status["failures"]} == lost
    ending = found.state.final_stages
    assert ending
    assert ending.winner
    assert status["best"]["trial"] == ending.best.trial
    assert status["exported"]["trial"] == ending.winner.detector.trial
    assert status["exported"]["uri"] == f"{found.store.uri}/{ending.export_folder}"
    assert found.store.get(keys.result_key(ending.export_folder))


def check_events(search: Search, lost: frozenset[int]) -> set[str]:
    """Each milestone has one event; return the reasons of all events."""
    events = search.events()
    told = Counter(event["reason"] for event in events)
    assert {reason: told[reason] for reason in MILESTONES} == dict.fromkeys(MILESTONES, 1)
    assert max(told[phase] for phase in PHASES) == 1, told
    best = search.messages("NewBest")
    assert best
    assert len(best) == len(set(best)), best
    failed = search.messages("TrialFailed")
    assert [int(message.split(":")[0].removeprefix("trial ")) for message in failed] == [*lost]
    return set(told)
