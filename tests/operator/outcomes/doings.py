"""What pods of these tests do beside their work: wrong results, and ends of other kinds."""

import asyncio
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.store.artifacts import create_record
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.detnas.runner.fake_trainer import answer


def finds(trainer: PretendedTrainer, outcome: Outcome, message: str) -> Callable[[PlayedPod], None]:
    """Say of a candidate, as the trainer does, why it did not succeed."""

    def work(pod: PlayedPod) -> None:
        trainer.begin(pod)
        store, request = trainer.asked(pod.uri)
        now = datetime.now(UTC)
        result = DetectorResult(outcome=outcome, message=message, started=now, finished=now)
        create_record(store, keys.result_key(request.key), result)

    return work


def publishes(
    trainer: PretendedTrainer, change: Callable[[Result], Result]
) -> Callable[[PlayedPod], None]:
    """Write the right result, changed."""

    def work(pod: PlayedPod) -> None:
        trainer.begin(pod)
        store, request = trainer.asked(pod.uri)
        with tempfile.TemporaryDirectory() as folder:
            result = answer(store, request, Path(folder))
        create_record(store, keys.result_key(request.key), change(result))

    return work


def with_weights(**update: object) -> Callable[[Result], Result]:
    """A result that says something else of its weights."""

    def change(result: Result) -> Result:
        weights = result.files["weights"].model_copy(update=update)
        return result.model_copy(update={"files": {"weights": weights}})

    return change


def unpublished(result: Result) -> Result:
    """A result that names weights which nobody wrote."""
    digest = "c" * 64
    folder = result.files["weights"].key.rpartition("/")[0]
    return with_weights(sha256=digest, key=f"{folder}/{digest}.safetensors")(result)


def exports_nothing(trainer: PretendedTrainer) -> Callable[[PlayedPod], None]:
    """Write an export's result that names a file which nobody wrote."""

    def work(pod: PlayedPod) -> None:
        _, request = trainer.asked(pod.uri)
        file = Artifact(key=f"{request.key}/config.py", size=5, sha256="c" * 64)
        publishes(trainer, lambda result: result.model_copy(update={"files": {"config.py": file}}))(
            pod
        )

    return work


def outgrows_its_volume() -> Script:
    """Run, and be evicted for a full emptyDir, which no condition of the pod tells."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        message = 'Usage of EmptyDir volume "cache" exceeds the limit "50Gi". '
        status = {"phase": "Failed", "reason": "Evicted", "message": message}
        await pod.calls.patch_status(pod.document, status)
        pod.ended = True

    return script


def leaves_a_checkpoint(trainer: PretendedTrainer) -> Script:
    """Begin an attempt, run until it is stopped, and then ask to be resumed."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(trainer.begin, pod)
        pod.exit_code = 75
        await asyncio.Event().wait()

    return script
