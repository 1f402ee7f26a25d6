"""How long the passes over one search of very many trials at a time are, with a distant S3.

    python -m bench.cluster.wide [--parallelism 1000] [--latency 0.03] [--ended 200]

Real API server, Job controller and S3 behind a proxy that holds every request for so long. One
search starts that many trials; so many of them end in one second; then the operator starts anew.
The longest pass of each step is looked for in /healthz. Aim: below the limit of a pass, 120 s.
"""

import argparse
import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web

from bench.cluster.surroundings import Surroundings, surroundings
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS
from tests.cluster.api import JOBS
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer, Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.searches import manifest


class DistantProxy(FaultProxy):
    """Holds every request for `latency` seconds."""

    latency = 0.0

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.latency)
        return await super()._handle(request)


def main() -> None:
    arguments = _arguments()
    with surroundings() as around, contextlib.ExitStack() as stack:
        s3 = DistantProxy(around.server.endpoint, name="s3")
        stack.enter_context(s3)
        s3.latency = arguments.latency
        trials = Trials(PretendedTrainer(around.server))
        operator = _operator(around, s3)
        with PodPlayer(around.cluster.api, trials.script):
            many = {
                "parallelism": arguments.parallelism,
                "trials": 10_000,
                "patience": 1_000_000,
            }
            operator.start()
            with _longest_pass(operator, f"{arguments.parallelism} trials start"):
                around.cluster.api.create(manifest("wide", **many), around.namespace)
                _wait_for_jobs(around, arguments.parallelism)
                time.sleep(5)
            with _longest_pass(operator, f"{arguments.ended} of them end, and others start"):
                trials.end(arguments.ended)
                _wait_for_jobs(around, arguments.parallelism + arguments.ended)
            operator.stop()
            operator.start()
            with _longest_pass(operator, "the operator starts anew"):
                time.sleep(2)
                trials.end(1)
                _wait_for_jobs(around, arguments.parallelism + arguments.ended + 1)
                time.sleep(5)
        operator.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parallelism", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds of an S3 request")
    parser.add_argument("--ended", type=int, default=200, help="trials that end at once")
    return parser.parse_args()


def _operator(around: Surroundings, s3: DistantProxy) -> OperatorProcess:
    installed = around.installation
    storage = {**installed.settings["storage"], "endpoint": s3.url}
    environment = {**installed.environment, "AWS_ENDPOINT_URL": s3.url}
    folder, settings = around.folder / "wide", {"storage": storage}
    return OperatorProcess(replace(installed, environment=environment), folder, settings=settings)


class Trials:
    """Plays pods: everything succeeds at once, but trials run until they are released."""

    def __init__(self, trainer: PretendedTrainer) -> None:
        self._trainer = trainer
        self._turns = threading.Semaphore(0)

    def script(self, _pod: PlayedPod) -> Script:
        """What a pod does."""

        async def play(pod: PlayedPod) -> None:
            await pod.run()
            while "-t" in pod.job and not self._turns.acquire(blocking=False):
                await asyncio.sleep(0.5)
            await asyncio.to_thread(self._trainer, pod)
            await pod.succeed()

        return play

    def end(self, count: int) -> None:
        """Let so many trials end."""
        self._turns.release(count)


def _wait_for_jobs(around: Surroundings, count: int) -> None:
    """Wait until so many trials were started."""
    seen: set[str] = set()
    while len(seen) < count:
        time.sleep(2)
        jobs = around.cluster.api.list(
            JOBS, around.namespace, labelSelector="detnas.dev/verb=evaluate"
        )
        seen |= {job["metadata"]["name"] for job in jobs}


@contextlib.contextmanager
def _longest_pass(operator: OperatorProcess, what: str) -> Iterator[None]:
    """Print for how long the longest pass of the block ran."""
    longest, over, began = 0.0, threading.Event(), time.monotonic()

    def look() -> None:
        nonlocal longest
        while not over.wait(0.1):
            status, text = operator.health()
            if status == 200:
                longest = max(longest, json.loads(text)["queue"]["oldestPassSeconds"])

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    yield
    over.set()
    looking.join()
    print(
        f"{what}: {time.monotonic() - began:.0f} s, the longest pass {longest:.1f} s "
        f"(limit {MAX_PASS_SECONDS:.0f})"
    )


if __name__ == "__main__":
    main()
