"""Share of a fast evaluation's wall time that is neither training nor evaluation: at most 15 %.

    python -m bench.training.fast_evaluation [--manifest FILE] [--evaluations 2]

Base and pool are trained for one epoch each, which changes no time that is measured. Each
evaluation is a process forked from this one, as the local runner forks them; its wall time
begins before the fork and ends with the process. The teacher changes every time, so that none
comes from the cache.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TypeVar

from detnas.actions import AddLayer
from detnas.plan.requests import SearchRequests
from detnas.records.proposal import Proposal, Step
from detnas.records.requests import BaseRequest, PoolPhaseRequest, PrepareRequest, StudentRequest
from detnas.records.results import (
    DetectorResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    Result,
)
from detnas.spec.loading import load_manifest
from detnas.store import open_store
from detnas.store.artifacts import create_record, load_record
from detnas_trainer.jobs import run
from detnas_trainer.jobs.verbs import base, pool, prepare, student  # noqa: F401 - before forking

VERBS = {"Prepare": "prepare", "Base": "base", "PoolPhase": "pool", "Evaluate": "evaluate"}
WORK = ("training", "evaluating")
Found = TypeVar("Found", bound=Result)
Asked = TypeVar("Asked", BaseRequest, PoolPhaseRequest)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--manifest", type=Path, default=Path("examples/digits/search.yaml"))
    parser.add_argument("--evaluations", type=int, default=2)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["DETNAS_CACHE"] = f"{folder}/cache"
        store = f"{Path(folder).as_uri()}/store"
        for result, wall in measure(arguments.manifest, store, arguments.evaluations):
            report(result, wall)


def measure(manifest: Path, store: str, evaluations: int) -> Iterator[tuple[DetectorResult, float]]:
    """Run so many fast evaluations; the result of each, and its wall time in seconds."""
    requests = SearchRequests(load_manifest(manifest), "bench/searches/fast", manifest.parent)
    prepared, _ = job(store, requests.prepare(), PrepareResult)
    parent, _ = job(store, one_epoch(requests.base(prepared)), DetectorResult)
    phase, _ = job(store, one_epoch(requests.pool_phase(prepared, ())), PoolPhaseResult)
    for index in range(evaluations):
        proposal = Proposal(
            index=index,
            step=Step.STUDENT,
            action=AddLayer(stage=index % 4),
            teacher=requests.spec.teachers.space.sample(Random(index)),
            seed=index,
        )
        request = requests.trial(proposal, prepared, parent, requests.pool((phase,)))
        yield job(store, request, DetectorResult)


def one_epoch(request: Asked) -> Asked:
    changes = {"epochs": 1, "warmup_iterations": 0}  # an epoch is shorter than the warm-up
    training = request.training.model_copy(update=changes)
    return request.model_copy(update={"training": training})


def job(
    store: str,
    request: PrepareRequest | BaseRequest | PoolPhaseRequest | StudentRequest,
    kind: type[Found],
) -> tuple[Found, float]:
    """Run a job in a process of its own; its result and its wall time in seconds."""
    create_record(open_store(store), f"{request.key}/request.json", request)
    start = time.perf_counter()
    process = multiprocessing.get_context("fork").Process(
        target=run, args=(VERBS[request.kind], f"{store}/{request.key}")
    )
    process.start()
    process.join()
    wall = time.perf_counter() - start
    result = load_record(open_store(store), f"{request.key}/result.json", kind)
    assert result is not None, f"{request.key} has no result"
    assert result.outcome is Outcome.SUCCEEDED, result.message
    return result, wall


def other_share(result: DetectorResult, wall: float) -> float:
    """Share of the wall time that is neither training nor evaluation."""
    return 1 - sum(result.seconds[name] for name in WORK) / wall


def report(result: DetectorResult, wall: float) -> None:
    seconds = {**result.seconds, "process": wall - sum(result.seconds.values())}
    share = other_share(result, wall)
    other = share * wall
    print(f"fast evaluation: {wall:.1f} s, of which neither training nor evaluating {other:.2f} s")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:<14}{spent:8.2f} s {spent / wall:8.1%}")
    print(f"share: {share:.3f} (aim: at most 0.15)")


if __name__ == "__main__":
    main()
