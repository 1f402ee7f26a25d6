"""A search's records in a store, as a run would have written them, without any training."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from detnas.architecture import encode
from detnas.ledger.history import load_history, write_segments
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.record import SearchRecord
from detnas.plan.requests import FinalRequests, SearchRequests
from detnas.records import keys
from detnas.records.artifacts import COMPARISON, Artifact
from detnas.records.proposal import Proposal
from detnas.records.results import (
    DetectorResult,
    ExportResult,
    Latency,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    SubnetScore,
)
from detnas.spec import DetNASSearch
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record
from tests.detnas.trials import ARCHITECTURE, BASE, LARGE, SMALL, START, Simulation, result, score

UID = "0123abcd"
PICTURE = b"\xff\xd8 a picture"
CLASSES = ("bolt", "nut", "washer")


def manifest(trials: int, **search: object) -> DetNASSearch:
    spec: dict[str, object] = {
        "base": {"architecture": encode(ARCHITECTURE), "train": {"epochs": 2}},
        "dataset": {"source": {"directory": "data"}, "train": "train.json", "val": "val.json"},
        "detector": BASE.detector,
        "resolutions": [str(SMALL), str(LARGE)],
        "search": {"trials": trials, "patience": 1000, "warmupTrials": 2, **search},
        "finetune": {"epochs": 2},
    }
    return DetNASSearch.model_validate(
        {
            "apiVersion": "detnas.dev/v1alpha1",
            "kind": "DetNASSearch",
            "metadata": {"name": "parts"},
            "spec": spec,
        }
    )


@dataclass
class Climbing(Simulation):
    """Trials that get better on the whole, and whose results are kept."""

    results: dict[int, DetectorResult] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)

    def _result(self, proposed: Proposal) -> DetectorResult:
        made = super()._result(proposed)
        if proposed.index in self.failures:
            made = DetectorResult(
                outcome=Outcome.OUT_OF_MEMORY,
                message=self.failures[proposed.index],
                started=made.started,
                finished=made.finished,
            )
        elif made.outcome is Outcome.SUCCEEDED:
            made = self._improved(proposed, made)
        self.results[proposed.index] = made
        return made

    def _improved(self, proposed: Proposal, made: DetectorResult) -> DetectorResult:
        parent = None if proposed.parent is None else self.results[proposed.parent]
        now = [s.map for s in parent.scores] if parent else [0.3, 0.5]
        gain = Random(proposed.seed).uniform(-0.01, 0.012)
        assert made.architecture is not None
        whole = result(proposed.index, (now[0] + gain, now[1] + gain), made.architecture)
        return whole.model_copy(update={"added": made.added, "notes": ("lateral 3 afresh",)})


@dataclass
class StoredSearch:
    """A search in a store.

    Attributes:
        store: the store.
        requests: names its folders.
        simulation: what was searched.
    """

    store: Store
    requests: SearchRequests
    simulation: Climbing

    @property
    def folder(self) -> Path:
        """The search's folder on this machine."""
        return Path(self.store.uri.removeprefix("file://")) / self.requests.search

    def write(self, key: str, record: BaseModel) -> None:
        create_record(self.store, key, record)


def begun(
    root: Path,
    trials: int = 30,
    uid: str = UID,
    failures: Mapping[int, str] = MappingProxyType({}),
    **settings: object,
) -> StoredSearch:
    """A search of which nothing is known but what it was told."""
    told = manifest(trials, **settings)
    folder = keys.search_folder("local", "parts", uid)
    requests = SearchRequests(told, folder, root)
    search = StoredSearch(
        open_store((root / "store").as_uri()),
        requests,
        Climbing(told.spec.search, told.spec.teachers.space, failures=failures),
    )
    record = SearchRecord(
        uid=uid, folder=str(root), data=requests.data, manifest=told, versions={"detnas": "0"}
    )
    search.write(keys.search_record_key(folder), record)
    return search


def with_base_and_pool(search: StoredSearch) -> PrepareResult:
    """Data, base and teachers have their results."""
    folder, requests = search.requests.search, search.requests
    times = {"started": START, "finished": START}
    prepared = PrepareResult(**times, digest="d", classes=CLASSES)
    search.write(keys.result_key(keys.prepare_folder(folder)), prepared)
    base = DetectorResult(
        **times,
        architecture=ARCHITECTURE,
        scores=(score(SMALL, 0.3), score(LARGE, 0.5)),
        files={"weights": weights("base")},
        notes=("120 tensors were taken for the backbone",),
    )
    search.write(keys.result_key(keys.base_folder(folder)), base)
    for phase in range(len(requests.spec.teachers.phases)):
        subnets = tuple(
            SubnetScore(
                name=name,
                depths=(2, 2, 2, 2),
                widths=("1.0",) * 6,
                scores=(score(SMALL, 0.2 + 0.05 * phase), score(LARGE, at + 0.03 * phase)),
            )
            for name, at in (("smallest", 0.38), ("largest", 0.5), ("random 1", 0.44))
        )
        done = PoolPhaseResult(**times, subnets=subnets, files={"weights": weights(f"p{phase}")})
        pool = keys.pool_phase_folder(requests.pool_folder(prepared), phase)
        search.write(keys.result_key(pool), done)
    return prepared


def weights(name: str) -> Artifact:
    digest = name.encode().hex().zfill(64)
    return Artifact(key=f"w/{digest}.safetensors", size=10, sha256=digest)


def write_trials(search: StoredSearch, indices: Sequence[int], *, open_ones: int = 0) -> None:
    """Requests and results of finished trials, and requests of some that have no result."""
    folder, simulation = search.requests.search, search.simulation
    state = SearchReader(search.store, search.requests).read()
    assert state.prepare is not None
    assert state.base is not None
    pool = search.requests.pool(state.pool)
    for number, index in enumerate((*indices, *range(len(indices), len(indices) + open_ones))):
        proposed = simulation.proposals[index]
        parent = state.base if proposed.parent is None else simulation.results[proposed.parent]
        trial = keys.trial_folder(folder, index)
        request = search.requests.trial(proposed, state.prepare, parent, pool)
        search.write(keys.request_key(trial), request)
        if number < len(indices):
            search.write(keys.result_key(trial), simulation.results[index])


def with_trials(search: StoredSearch, finished: int, *, open_ones: int = 0) -> None:
    """The first trials have results, the next ones are in flight."""
    search.simulation.run(Random(0))
    write_trials(search, range(finished), open_ones=open_ones)


def with_segments(search: StoredSearch) -> None:
    """What is complete is packed into the ledger."""
    folder = search.requests.search
    write_segments(search.store, folder, load_history(search.store, folder, BASE, 5))


def with_ending(search: StoredSearch) -> None:
    """The best student is trained on and exported."""
    requests, folder = search.requests, search.requests.search
    state = SearchReader(search.store, requests).read()
    assert state.final_stages is not None
    assert state.prepare is not None
    assert state.scorer is not None
    assert state.base is not None
    best = state.final_stages.best
    (tuning,) = state.final_stages.tunings
    request = FinalRequests(requests).finetune(
        tuning.folder,
        best,
        state.prepare,
        requests.pool(state.pool),
        state.scorer.flops,
    )
    search.write(keys.request_key(tuning.folder), request)
    better = tuple(score(s.resolution, s.map + 0.02) for s in best.result.scores)
    tuned = best.result.model_copy(
        update={
            "scores": better,
            "files": {"weights": weights("tuned")},
            "finished": best.result.finished + timedelta(minutes=5),
        }
    )
    search.write(keys.result_key(keys.finetune_folder(folder)), tuned)
    key = f"{keys.export_folder(folder)}/{COMPARISON}"
    search.store.put_if_absent(key, PICTURE)
    digest = hashlib.sha256(PICTURE).hexdigest()
    picture = Artifact(key=key, size=len(PICTURE), sha256=digest)
    export = ExportResult(
        started=tuned.finished,
        finished=tuned.finished,
        map=max(s.map for s in better),
        student_latency=Latency(resolution=SMALL, milliseconds=8.0, device="cpu"),
        base_latency=Latency(resolution=LARGE, milliseconds=16.0, device="cpu"),
        files={COMPARISON: picture},
    )
    search.write(keys.result_key(keys.export_folder(folder)), export)


def finished_search(root: Path, trials: int = 30, **settings: Any) -> StoredSearch:
    """A search that came to its end."""
    search = begun(root, trials, **settings)
    with_base_and_pool(search)
    search.simulation.run(Random(0))
    # Those that were lost to the infrastructure were made up for.
    write_trials(search, range(len(search.simulation.proposals)))
    with_segments(search)
    with_ending(search)
    return search
