"""What played pods do instead of succeeding: wrong results, and other ways to end."""

import asyncio
import re
import tempfile
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from detnas.records import keys
from detnas.records.artifacts import IMAGE_LISTING, Artifact
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.store.artifacts import create_record, publish_file
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Work
from tests.detnas.searches.fake_trainer import answer

Stuck = Callable[[PlayedPod], Awaitable[None]]
POLL_SECONDS = 0.05
_TRIAL = re.compile(r"-t(\d+)$")


def reports(trainer: PretendedTrainer, outcome: Outcome, message: str) -> Work:
    """Write why a candidate did not succeed, as the trainer does."""

    def work(pod: PlayedPod) -> None:
        trainer.begin(pod)
        store, request = trainer.asked(pod.uri)
        now = datetime.now(UTC)
        result = DetectorResult(outcome=outcome, message=message, started=now, finished=now)
        create_record(store, keys.result_key(request.key), result)

    return work


def publishes(trainer: PretendedTrainer, change: Callable[[Result], Result]) -> Work:
    """Write the right result, changed."""

    def work(pod: PlayedPod) -> None:
        trainer.begin(pod)
        store, request = trainer.asked(pod.uri)
        with tempfile.TemporaryDirectory() as folder:
            result = answer(store, request, Path(folder))
        create_record(store, keys.result_key(request.key), change(result))

    return work


def lists_images(trainer: PretendedTrainer) -> Work:
    """Write the data check's right result with a listing of images, though there is no data."""

    def work(pod: PlayedPod) -> None:
        trainer.begin(pod)
        store, request = trainer.asked(pod.uri)
        with tempfile.TemporaryDirectory() as folder:
            result = answer(store, request, Path(folder))
            path = Path(folder) / "images.json"
            path.write_bytes(b"[]")
            listing = publish_file(store, request.key, path, "json")
        found = result.model_copy(update={"files": {IMAGE_LISTING: listing}})
        create_record(store, keys.result_key(request.key), found)

    return work


def with_weights(**update: object) -> Callable[[Result], Result]:
    """Change what a result states of its weights."""

    def change(result: Result) -> Result:
        weights = result.files["weights"].model_copy(update=update)
        return result.model_copy(update={"files": {"weights": weights}})

    return change


def unpublished(result: Result) -> Result:
    """Let a result name weights which nobody wrote."""
    digest = "c" * 64
    folder = result.files["weights"].key.rpartition("/")[0]
    return with_weights(sha256=digest, key=f"{folder}/{digest}.safetensors")(result)


def exports_nothing(trainer: PretendedTrainer) -> Work:
    """Write an export's result that names a file which nobody wrote."""

    def work(pod: PlayedPod) -> None:
        _, request = trainer.asked(pod.uri)
        file = Artifact(key=f"{request.key}/config.py", size=5, sha256="c" * 64)
        publishes(trainer, lambda result: result.model_copy(update={"files": {"config.py": file}}))(
            pod
        )

    return work


def outgrows_its_volume() -> Script:
    """Run, and be evicted for a full emptyDir, which no condition of the pod shows."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        message = 'Usage of EmptyDir volume "cache" exceeds the limit "50Gi". '
        status = {"phase": "Failed", "reason": "Evicted", "message": message}
        await pod.calls.patch_status(pod.document, status)
        pod.ended = True

    return script


def leaves_a_checkpoint(trainer: PretendedTrainer) -> Script:
    """Begin an attempt, run until stopped, and then end with exit 75 to be resumed."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(trainer.begin, pod)
        pod.exit_code = 75
        await asyncio.Event().wait()

    return script


def stuck_until(fixed: threading.Event, stuck: Stuck, then: Script) -> Script:
    """Wait for something, and follow another script once the cause is gone."""

    async def script(pod: PlayedPod) -> None:
        await stuck(pod)
        while not fixed.is_set():
            await asyncio.sleep(0.02)
        await then(pod)

    return script


@dataclass
class InTurn:
    """Lets two concurrent trials run in one order only, so that their decisions are known.

    A trial ends once the next one has begun: when trial n is decided, all before n - 1 have ended
    and n - 1 is in flight.

    Attributes:
        trainer: does the jobs' work.
        last: the number of the last trial, which waits for no other, nor does any after it.
        lost: trials whose pods end with exit code 1 and no result.
        may_end: polled until a pod's work may end.
    """

    trainer: PretendedTrainer
    last: int
    lost: frozenset[int] = frozenset()
    may_end: Callable[[PlayedPod], bool] = lambda _: True
    _begun: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, pod: PlayedPod) -> Script:
        """The script of a pod."""
        return self._work

    async def _work(self, pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(self.trainer.begin, pod)
        number = int(found[1]) if (found := _TRIAL.search(pod.job)) else None
        if number is not None:
            self._begun.add((pod.namespace, number))
        while not (self._may_end(pod, number) and await asyncio.to_thread(self.may_end, pod)):
            await asyncio.sleep(POLL_SECONDS)
        if number in self.lost:
            pod.log += "CUDA error: uncorrectable ECC error encountered\n"
            await pod.end(1)
            return
        await asyncio.to_thread(self.trainer.finish, pod)
        await pod.succeed()

    def _may_end(self, pod: PlayedPod, number: int | None) -> bool:
        if number is None or number >= self.last:
            return True
        return (pod.namespace, number + 1) in self._begun


class Gate:
    """Lets no trial end before it is opened; a `may_end` of `InTurn`."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def __call__(self, pod: PlayedPod) -> bool:
        """Whether a pod may end."""
        return self._opened.is_set() or "-t" not in pod.job

    def open(self) -> None:
        """Let the trials end."""
        self._opened.set()
