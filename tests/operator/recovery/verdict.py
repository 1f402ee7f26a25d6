"""What must hold of a finished search, whatever happened on its way."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.ledger.summary import Summary, fold, needed
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import load_search_record
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.search.propose import propose
from detnas.spec.manifest import KIND
from detnas.store import Store
from tests.cluster.api import EVENTS
from tests.cluster.pods import PodPlayer
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import JobsSeen, Scene

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
        assert self.state.facts
        return list(read_entries(self.store, self.requests.search, self.state.facts))


def stored(scene: Scene, namespace: str = "") -> StoredSearch:
    """Read the search in a namespace from the store, not by way of the operator's proxy."""
    folder = scene.status(namespace)["folder"]
    root = scene.installation.settings["storage"]["allowed"][0]
    store, search = scene.trainer.store(root), folder.removeprefix(f"{root}/")
    record = load_search_record(store, search)
    assert record
    requests = SearchRequests(manifest=record.manifest, search=search, folder=None)
    return StoredSearch(store, requests, SearchReader(store, requests).read())


def check_search(
    scene: Scene, player: PodPlayer, seen: JobsSeen, lost: frozenset[int], namespace: str = ""
) -> None:
    """Check the trials, the Jobs, the weights and the status of a finished search.

    Args:
        player: of its pods, which took turns.
        seen: its Jobs, watched from before it began.
        lost: trials that failed as they should.
        namespace: where it is; by default the scene's first.
    """
    namespace = namespace or scene.namespace
    found = stored(scene, namespace)
    entries = found.entries
    check_decisions(found)
    assert {entry.index for entry in entries if entry.weights is None} == lost
    check_jobs(scene, player, seen, expected_jobs(found), namespace)
    check_weights(found)
    check_status(scene.status(namespace), found, lost)


def expected_jobs(found: StoredSearch) -> set[str]:
    """The names of the Jobs that a finished search ``one`` has had."""
    spec = found.requests.spec
    return {
        *("one-prepare", "one-base", "one-export"),
        *(["one-finetune"] if spec.finetune else []),
        *(f"one-pool-{number}" for number in range(len(spec.teachers.phases))),
        *(f"one-t{entry.index:04d}" for entry in found.entries),
    }


def check_decisions(found: StoredSearch) -> None:
    """Every trial is what an undisturbed search would have tried with these outcomes.

    It follows from the trials before it: all had ended but the last, which was in flight.
    """
    state, spec, entries = found.state, found.requests.spec, found.entries
    assert state.facts
    assert [entry.index for entry in entries] == list(range(len(entries)))
    for index, entry in enumerate(entries):
        summary = fold(Summary(top_k=spec.search.top_k), entries[: max(0, index - 1)])
        in_flight = [before.proposal for before in entries[max(0, index - 1) : index]]
        decided = propose(spec.search, spec.teachers.space, state.facts, summary, in_flight)
        assert decided == entry.proposal, f"trial {index} was decided otherwise"


def check_jobs(
    scene: Scene, player: PodPlayer, seen: JobsSeen, names: set[str], namespace: str
) -> None:
    """Each job had one Job with one pod that began its work once; nothing runs any more."""
    uid = scene.resource(namespace)["metadata"]["uid"]
    jobs = scene.jobs(namespace)
    assert set(jobs) == names
    for name, job in jobs.items():
        assert job["metadata"]["ownerReferences"][0]["uid"] == uid
        ends = [one["type"] for one in job["status"]["conditions"] if one["status"] == "True"]
        assert {"Complete", "Failed"} & set(ends), f"{name} is not over: {ends}"
        assert job["spec"]["ttlSecondsAfterFinished"] == 3600, name
    eventually(lambda: {(namespace, name) for name in names} <= {*seen.uids})
    uids = {job: ids for (place, job), ids in seen.uids.items() if place == namespace}
    assert {name: len(ids) for name, ids in uids.items()} == dict.fromkeys(names, 1)
    pods = Counter(pod.job for pod in player.played if pod.namespace == namespace)
    assert pods == dict.fromkeys(names, 1)
    starts = Counter(key for key in scene.trainer.starts if key.startswith(f"{namespace}/"))
    assert set(starts.values()) == {1}, starts
    assert len(starts) == len(names)


def check_weights(found: StoredSearch) -> None:
    """Whatever a later step or a user can ask for is there, whole; the rest was collected."""
    state, requests = found.state, found.requests
    ending = state.ending
    assert state.base
    assert ending
    assert ending.export
    assert bool(ending.finetune) == bool(requests.spec.finetune)
    for result in (state.base, *state.pool, ending.finetune, ending.export):
        for artifact in result.files.values() if result else ():
            assert is_there(found.store, artifact), artifact
    assert load_search_record(found.store, requests.search)
    keep = needed(state.history.summary, ())
    for entry in found.entries:
        if entry.weights is not None:
            kept = is_there(found.store, entry.weights)
            assert kept == (entry.index in keep), f"trial {entry.index}: kept is {kept}"


def is_there(store: Store, artifact: Artifact) -> bool:
    """Whether the store has an artifact, whole."""
    return store.size(artifact.key) == artifact.size


def check_status(status: dict[str, Any], found: StoredSearch, lost: frozenset[int]) -> None:
    """The status tells what the store says, and nothing of the troubles on the way."""
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
    ending = found.state.ending
    assert ending
    assert ending.winner
    assert status["best"]["trial"] == ending.best.trial
    assert status["exported"]["trial"] == ending.winner.candidate.trial
    assert status["exported"]["uri"] == f"{found.store.uri}/{ending.export_folder}"
    assert found.store.get(keys.result_key(ending.export_folder))


def check_events(scene: Scene, lost: frozenset[int], namespace: str = "") -> set[str]:
    """What came of the search was told, each thing once; return the reasons of its events."""
    found = scene.cluster.api.list(EVENTS, namespace or scene.namespace)
    own = [one for one in found if one["involvedObject"]["kind"] == KIND]
    told = Counter(event["reason"] for event in own)
    assert {reason: told[reason] for reason in MILESTONES} == dict.fromkeys(MILESTONES, 1)
    assert max(told[phase] for phase in PHASES) == 1, told
    best = [event["message"] for event in own if event["reason"] == "NewBest"]
    assert best
    assert len(best) == len(set(best)), best
    failed = [event["message"] for event in own if event["reason"] == "TrialFailed"]
    assert [int(message.split(":")[0].removeprefix("trial ")) for message in failed] == [*lost]
    return set(told)
