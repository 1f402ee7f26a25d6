"""Memory and first decisions of an operator that starts among long searches.

    python -m bench.cluster.restart [--searches 500] [--trials 1053] [--long 9900]

Real API server, Job controller and S3. An operator brings the searches to their first trial, which
ends after the operator has stopped; then their ledgers are written as they are after so many trials
(1,053 by default: what is packed, what is not, and what is not even in the snapshot).

The next operator finds statuses that know nothing of these trials, as if most of a search had run
without an operator: each first pass starts the next trial, and reports all phases and the best
trial in a status and six Events. It is stopped once all statuses are up to date, and each search's
trial ends. The third operator starts as after an upgrade at the worst moment: in every search one
trial has ended, and the next is due. From its start to the creation of each search's Job is what
is aimed at: 2 s for the first, 30 s for the last; and 300 MB. Meanwhile no pod starts: what
kubelets do would take this machine's time.

Before this, the same for one search of `--long` trials, to time a pass over it, by the operator's
own histogram. Aim: 50 ms.
"""

import argparse
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.cluster.speed import Trials
from bench.cluster.surroundings import Surroundings, metric, surroundings
from detnas.ledger import History, LedgerEntry, write_segments
from detnas.ledger.summary import Summary
from detnas.records import keys
from detnas.records.requests import StudentRequest
from detnas.spec.search import MAX_TRIALS
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.record_format import encode_record
from tests.cluster.api import JOBS, SEARCHES
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.searches import manifest
from tests.detnas.memory_store import MemoryStore
from tests.detnas.trials import result_of, searched

THREADS = 8
TOP_K = 5
MANY: dict[str, Any] = {
    "trials": MAX_TRIALS,
    "patience": 1_000_000,
    "topK": TOP_K,
    "parallelism": 1,
}


def main() -> None:
    arguments = _arguments()
    with surroundings() as around:
        trainer = PretendedTrainer(around.server)
        trials = Trials(trainer)
        with PodPlayer(around.cluster.api, trials.script):
            long = start_searches(around, ["long"])
            write_ledgers(trainer, around, long, arguments.long)
            _time_passes(around, arguments.long)
            names = [f"search-{number}" for number in range(arguments.searches)]
            folders = start_searches(around, names)
            _end_trials(around, trials, names, 0)
            write_ledgers(trainer, around, folders, arguments.trials)
            _time_restart(around, trials, names, arguments.trials, "outdated")
            _end_trials(around, trials, names, arguments.trials)
            _time_restart(around, trials, names, arguments.trials + 1, "recent")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=500)
    parser.add_argument("--trials", type=int, default=1053, help="of each search")
    parser.add_argument("--long", type=int, default=MAX_TRIALS - 100, help="of the long one")
    return parser.parse_args()


def start_searches(around: Surroundings, names: list[str]) -> list[str]:
    """Bring searches to their first trial; return the URIs of their folders."""
    operator = around.operator()
    operator.start()
    began = time.monotonic()
    for name in names:
        around.cluster.api.create(manifest(name, **MANY), around.namespace)
    wait_for_trial(around, names, 0)
    operator.stop()
    print(f"{len(names)} searches reached their first trial in {time.monotonic() - began:.0f} s")
    found = {
        one["metadata"]["name"]: one for one in around.cluster.api.list(SEARCHES, around.namespace)
    }
    return [found[name]["status"]["folder"] for name in names]


def wait_for_trial(around: Surroundings, names: list[str], trial: int) -> list[float]:
    """Wait until each search has this trial's Job; return when each was first seen.

    Seldom after the first: on a small machine more lists would take what is measured.
    """
    awaited = {f"{name}-t{trial:04d}" for name in names}
    seen: dict[str, float] = {}
    while awaited - seen.keys():
        for job in _trial_jobs(around, trial, awaited):
            seen.setdefault(job["metadata"]["name"], time.monotonic())
        time.sleep(2 if seen else 0.1)
    return sorted(seen.values())


def _trial_jobs(around: Surroundings, trial: int, names: Collection[str]) -> list[dict[str, Any]]:
    """List the Jobs of these names; only theirs: to list all would load what is measured."""
    selector = f"detnas.dev/verb=evaluate,detnas.dev/number={trial}"
    jobs = around.cluster.api.list(JOBS, around.namespace, labelSelector=selector)
    return [job for job in jobs if job["metadata"]["name"] in names]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is stored in a search's folder after many trials.

    Attributes:
        objects: bytes by key below the folder.
        latest: the trials that finished since the snapshot was written.
    """

    objects: dict[str, bytes]
    latest: tuple[LedgerEntry, ...]

    @classmethod
    def after(cls, trials: int) -> "Ledger":
        simulation = searched(trials, parallelism=1, patience=10_000_000)
        entries = [simulation.entries[index] for index in range(trials)]
        store, history = MemoryStore(), History(Summary(top_k=TOP_K))
        for entry in entries:
            history = write_segments(store, "", history.with_entry(entry))
        latest = tuple(entries[history.in_snapshot :])
        for entry in (*history.summary.top, *latest):
            key = keys.result_key(keys.trial_folder("", entry.index))
            store.put(key, encode_record(result_of(entry)))
        return cls(store.objects, latest)


def write_ledgers(
    trainer: PretendedTrainer, around: Surroundings, folders: list[str], trials: int
) -> None:
    """Write into searches' folders, given by URI, what is there after so many trials."""
    ledger, began = Ledger.after(trials), time.monotonic()
    bucket = f"s3://{around.server.bucket}"
    store: Store = trainer.store(bucket)

    def put(uri: str) -> None:
        folder = uri.removeprefix(bucket).strip("/")
        for key, data in ledger.objects.items():
            store.put(f"{folder}{key}", data)
        begun = load_record(store, keys.request_key(keys.trial_folder(folder, 0)), StudentRequest)
        assert begun is not None
        for entry in ledger.latest:
            key = keys.trial_folder(folder, entry.index)
            request = begun.model_copy(update={"key": key, "trial": entry.proposal})
            store.put(keys.request_key(key), encode_record(request))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(put, folders))
    megabytes = sum(map(len, ledger.objects.values())) / 1e6
    print(f"{trials} trials each written ({megabytes:.1f} MB) in {time.monotonic() - began:.0f} s")


def _end_trials(around: Surroundings, trials: Trials, names: list[str], trial: int) -> None:
    """End the searches' trials of this number, while no operator runs."""
    jobs = {f"{name}-t{trial:04d}" for name in names}
    while not all(map(_is_complete, _trial_jobs(around, trial, jobs))):
        trials.end_all()  # one whose pod has just begun ends in a later turn
        time.sleep(1)


def _is_complete(job: dict[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Complete" for condition in conditions)


def _time_restart(
    around: Surroundings, trials: Trials, names: list[str], trial: int, statuses: str
) -> None:
    operator = around.operator()
    with trials.held():
        began = time.monotonic()
        operator.start(wait=False)
        decisions = [moment - began for moment in wait_for_trial(around, names, trial)]
    print(
        f"first decisions of {len(names)} searches with {statuses} statuses after the start of "
        f"the process: first {decisions[0]:.1f} s, median {median(decisions):.1f} s, last "
        f"{decisions[-1]:.1f} s (aims 2 and 30); {operator.cpu_seconds():.1f} s computed"
    )
    time.sleep(30)
    print(f"memory: {operator.memory() / 1e6:.0f} MB (aim 300)")
    operator.stop()


def _time_passes(around: Surroundings, trial: int) -> None:
    operator = around.operator(resyncSeconds=1)
    operator.start()
    wait_for_trial(around, ["long"], trial)
    time.sleep(3)
    before = operator.metrics()
    time.sleep(20)
    after = operator.metrics()
    name = "detnas_reconcile_seconds"
    count = metric(after, f"{name}_count") - metric(before, f"{name}_count")
    seconds = metric(after, f"{name}_sum") - metric(before, f"{name}_sum")
    print(
        f"a pass over {trial} finished trials: {1000 * seconds / count:.1f} ms, mean of "
        f"{count:.0f} (aim 50)"
    )
    operator.stop()


if __name__ == "__main__":
    main()
