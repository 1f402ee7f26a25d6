"""What the operator reads for a search of few and of many finished trials: it must not grow.

    python -m bench.cluster.reads [--few 20] [--many 9900] [--ends 20] [--passes 20]

Real API server, Job controller and S3, each behind a proxy that counts requests. For each length a
search is brought to its first trial, and its ledger is written as it is after so many trials; then
an operator starts, looks at it at rest, and trials end one after the other. Aim: a ratio of 1 at
rest and for each trial that ends. Only a start may read more, a segment for every 100 trials.
"""

import argparse
import threading
import time
from dataclasses import dataclass, replace

from bench.cluster.restart import start_searches, wait_for_trial, write_ledgers
from bench.cluster.surroundings import Surroundings, metric, surroundings
from tests.cluster.api import SEARCHES
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Journal
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, runs_for_ever, runs_until, succeeds

SETTLE_SECONDS = 5
TRIAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reads:
    """Requests that only read, by server."""

    s3: float
    api: float

    @classmethod
    def since(cls, journal: Journal, begin: int, share: float = 1) -> "Reads":
        """Those after the first `begin` calls of a journal, for each of `share` things."""
        servers = [call.server for call in journal.calls[begin:] if not call.is_write]
        return cls(servers.count("s3") / share, servers.count("api") / share)


def main() -> None:
    arguments = _arguments()
    with (
        surroundings() as around,
        FaultProxy(around.cluster.api.server, around.cluster.api.ca) as api,
        FaultProxy(around.server.endpoint, name="s3", journal=api.journal) as s3,
    ):
        few, many = (
            _measured(Watched(around, api, s3), trials, arguments)
            for trials in (arguments.few, arguments.many)
        )
    print(f"\nreads{arguments.few:>29} trials{arguments.many:>11} trials     ratio")
    for what, fewer in few.items():
        for server in ("s3", "api"):
            one, other = getattr(fewer, server), getattr(many[what], server)
            ratio = f"{other / one:10.2f}" if one else f"{'-':>10}"
            print(f"{what:<20} {server:<4} {one:>16.2f} {other:>17.2f} {ratio}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=20, help="finished trials of the short search")
    parser.add_argument("--many", type=int, default=9_900, help="and of the long one")
    parser.add_argument("--ends", type=int, default=20, help="trials that end while it is counted")
    parser.add_argument("--passes", type=int, default=20, help="looks at a search at rest")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Watched:
    """Surroundings whose operators go by way of the proxies."""

    around: Surroundings
    api: FaultProxy
    s3: FaultProxy

    @property
    def journal(self) -> Journal:
        """Every call that an operator has made."""
        return self.api.journal

    def operator(self, resync: int) -> OperatorProcess:
        """One that looks at every search this often, besides what happens; not started yet."""
        installed = self.around.installation
        storage = {**installed.settings["storage"], "endpoint": self.s3.url}
        environment = {**installed.environment, "AWS_ENDPOINT_URL": self.s3.url}
        folder = self.around.folder / f"counted-{len(self.journal.calls)}"
        settings = {"storage": storage, "resyncSeconds": resync}
        return OperatorProcess(
            replace(installed, environment=environment), folder, self.api.url, settings
        )


def _measured(watched: Watched, trials: int, arguments: argparse.Namespace) -> dict[str, Reads]:
    around, name, go = watched.around, f"after-{trials}", threading.Event()
    trainer = PretendedTrainer(around.server)

    def train_slowly(pod: PlayedPod) -> None:
        time.sleep(TRIAL_SECONDS)
        trainer(pod)

    ends = succeeds(work=train_slowly)
    scripts = Scripts(succeeds(work=trainer)).on("*-t*", *[runs_until(go, ends)] * 9)
    scripts.on("*-t0000", *[runs_for_ever()] * 9)  # finished, by the ledger that is written
    with PodPlayer(around.cluster.api, scripts):
        write_ledgers(trainer, around, start_searches(around, [name]), trials)
        measured = _at_rest(watched, name, trials, arguments.passes)
        measured["a trial that ends"] = _as_trials_end(watched, go, arguments.ends)
        around.cluster.api.delete(SEARCHES, around.namespace, name)
    return measured


def _at_rest(watched: Watched, name: str, trial: int, passes: int) -> dict[str, Reads]:
    begin, operator = len(watched.journal.calls), watched.operator(resync=1)
    operator.start()
    wait_for_trial(watched.around, [name], trial)
    started = Reads.since(watched.journal, begin)
    time.sleep(SETTLE_SECONDS)
    begin, before = len(watched.journal.calls), _passes(operator)
    while _passes(operator) < before + passes:
        time.sleep(0.2)
    resting = Reads.since(watched.journal, begin, _passes(operator) - before)
    operator.stop()
    return {"the start": started, "a pass at rest": resting}


def _passes(operator: OperatorProcess) -> float:
    return metric(operator.metrics(), "detnas_reconcile_seconds_count")


def _as_trials_end(watched: Watched, go: threading.Event, ends: int) -> Reads:
    operator = watched.operator(resync=300)
    operator.start()
    time.sleep(SETTLE_SECONDS)
    begin, before = len(watched.journal.calls), _ended(operator)
    go.set()
    while (ended := _ended(operator) - before) < ends:
        time.sleep(0.2)
    reads = Reads.since(watched.journal, begin, ended)
    operator.stop()
    return reads


def _ended(operator: OperatorProcess) -> float:
    return metric(operator.metrics(), "detnas_trials_total")


if __name__ == "__main__":
    main()
