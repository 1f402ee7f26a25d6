"""How soon a finished trial is followed by the next, and what the operator writes for it.

    python -m bench.cluster.speed [--searches 200] [--parallelism 4] [--rate 2] [--seconds 120]
                                   [--restart]

Real etcd, API server, Job controller and S3; pods are played, their results pretended. Trials end
at a steady rate, at random over all searches. Latency is from a Job's Complete condition to the
creation of the next Job of the same search, both as a watch sees them. With `--restart` the
operator starts anew at the moment from which is measured. Aim: 99th percentile 0.5 s; at most 4 API
writes a trial besides Events and one progress patch a minute.

Of each that took longer it prints what it waited for, by the trace of `traced_operator`.
"""

import argparse
import asyncio
import contextlib
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from statistics import median, quantiles

import urllib3

from bench.cluster import traced_operator
from bench.cluster.slow_successions import Succession, explanations
from bench.cluster.surroundings import Surroundings, metric, surroundings
from tests.cluster.api import JOBS, Api
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer, Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.searches import manifest

SEARCH = "detnas.dev/search"
AIM = 0.5
"""Seconds."""


def main() -> None:
    arguments = _arguments()
    with surroundings() as around:
        trials = Trials(PretendedTrainer(around.server))
        watch = Watch(around.cluster.api, around.namespace, arguments.parallelism)
        operator = around.operator(program=traced_operator.main, progressSeconds=60)
        operator.start()
        with PodPlayer(around.cluster.api, trials.script):
            began = time.monotonic()
            _apply(around, arguments)
            active = arguments.searches * arguments.parallelism
            trials.wait_for(active)
            print(
                f"{active} trials of {arguments.searches} searches run "
                f"after {time.monotonic() - began:.0f} s"
            )
            time.sleep(arguments.settle)
            if arguments.restart:
                operator.stop()
                operator.start()
            before = operator.metrics()
            watch.successions.clear()
            done = trials.end_at(arguments.rate, arguments.seconds)
            time.sleep(5)
            _report(arguments, watch, done, (before, operator.metrics()))
            slow = explanations(watch.successions, operator.folder / traced_operator.TRACE, AIM)
            for line in slow:
                print(f"  {line}")
            print(f"memory of the operator: {operator.memory() / 2**20:.0f} MiB")
        operator.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--parallelism", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2.0, help="completions a second")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--settle", type=float, default=30, help="seconds before the measurement")
    parser.add_argument("--restart", action="store_true", help="measure from a restart on")
    return parser.parse_args()


def _apply(around: Surroundings, arguments: argparse.Namespace) -> None:
    for number in range(arguments.searches):
        search = manifest(
            f"search-{number}", parallelism=arguments.parallelism, trials=1000, seed=number
        )
        around.cluster.api.create(search, around.namespace)


class Trials:
    """Plays pods: everything succeeds at once, but trials wait until they are told to end."""

    def __init__(self, trainer: PretendedTrainer) -> None:
        self._trainer = trainer
        self._waiting: list[asyncio.Event] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Start no pod before the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def script(self, _pod: PlayedPod) -> Script:
        """What a pod does."""

        async def play(pod: PlayedPod) -> None:
            while self._held:
                await asyncio.sleep(2)
            await pod.run()
            if "-t" in pod.job:
                await asyncio.to_thread(self._trainer.begin, pod)
                await self._turn()
                await asyncio.to_thread(self._trainer.finish, pod)
            else:
                await asyncio.to_thread(self._trainer, pod)
            await pod.succeed()

        return play

    async def _turn(self) -> None:
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        with self._lock:
            self._waiting.append(event)
        await event.wait()

    def wait_for(self, count: int) -> None:
        """Wait until so many trials run."""
        while len(self._waiting) < count:
            time.sleep(0.5)

    def end_all(self) -> None:
        """End the trials that run now."""
        if self._loop is None:
            return
        with self._lock:
            ending, self._waiting = self._waiting, []
        for event in ending:
            self._loop.call_soon_threadsafe(event.set)

    def end_at(self, rate: float, seconds: float) -> int:
        """End trials, drawn at random, at a steady rate; return how many."""
        draws, start, done = random.Random(0), time.monotonic(), 0
        while time.monotonic() - start < seconds:
            time.sleep(max(0.0, start + done / rate - time.monotonic()))
            with self._lock:
                event = self._waiting.pop(draws.randrange(len(self._waiting)))
            assert self._loop is not None
            self._loop.call_soon_threadsafe(event.set)
            done += 1
        return done


class Watch:
    """Sees Jobs complete and Jobs being created, and puts the two together by search."""

    def __init__(self, api: Api, namespace: str, parallelism: int) -> None:
        self.successions: list[Succession] = []
        self._parallelism = parallelism
        self._ahead: dict[str, int] = defaultdict(int)  # the first ones follow nothing
        self._completed: dict[str, deque[tuple[str, float]]] = defaultdict(deque)
        self._seen: set[str] = set()
        threading.Thread(target=self._run, args=(api, namespace), daemon=True).start()

    def _run(self, api: Api, namespace: str) -> None:
        for event in _forever(api, namespace):
            self._take(event["type"], event["object"])

    def _take(self, change: str, job: dict) -> None:
        now, labels = time.monotonic(), job["metadata"].get("labels", {})
        if labels.get("detnas.dev/verb") != "evaluate" or change == "DELETED":
            return
        name, search = job["metadata"]["name"], labels[SEARCH]
        if change == "ADDED":
            if self._completed[search]:
                ended = self._completed[search].popleft()
                self.successions.append(Succession(*ended, name, now))
            else:  # the result was seen before the Job's end
                self._ahead[search] += 1
        conditions = job.get("status", {}).get("conditions", ())
        if name not in self._seen and any(c["type"] == "Complete" for c in conditions):
            self._seen.add(name)
            self._complete(search, name, now)

    def _complete(self, search: str, name: str, now: float) -> None:
        if self._ahead[search] > self._parallelism:
            self._ahead[search] -= 1
            self.successions.append(Succession(name, now, name, now))
        else:
            self._completed[search].append((name, now))


def _forever(api: Api, namespace: str) -> Iterator[dict]:
    while True:
        with contextlib.suppress(urllib3.exceptions.HTTPError):  # it ends with the server
            yield from api.watch(JOBS, namespace)
        time.sleep(0.1)


def _report(
    arguments: argparse.Namespace, watch: Watch, done: int, metrics: tuple[str, str]
) -> None:
    before, after = metrics
    latencies = sorted(one.seconds for one in watch.successions)
    hundredths = quantiles(latencies, n=100)
    print(f"{done} trials ended, {len(latencies)} were followed")
    print(
        f"completion to next Job: median {median(latencies):.2f} s, "
        f"99th percentile {hundredths[98]:.2f} s (aim {AIM}), worst {latencies[-1]:.2f} s"
    )
    writes = {}
    for kind in ("jobs", "detnassearches", "services", "events"):
        name = "detnas_api_writes_total"
        writes[kind] = metric(after, name, kind=kind) - metric(before, name, kind=kind)
    minutes = arguments.seconds / 60 * arguments.searches
    of_trials = writes["jobs"] + writes["services"] + done
    progress = writes["detnassearches"] - done
    print(f"API writes: {writes}")
    print(
        f"  a trial {of_trials / done:.2f} with one status patch (aim 4, besides Events); "
        f"{progress:.0f} patches more, {progress / minutes:.2f} a search and minute (aim 1)"
    )


if __name__ == "__main__":
    main()
