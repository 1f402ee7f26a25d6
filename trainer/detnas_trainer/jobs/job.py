"""A running job: what every kind of job needs of the process around it."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from detnas.records.artifacts import Artifact
from detnas.records.keys import progress_key
from detnas.records.progress import Progress
from detnas.records.results import Attempt, Outcome, Result
from detnas.store.artifacts import fetch_artifact, publish_file
from detnas_trainer.jobs.folder import JobFolder, scratch_folder
from detnas_trainer.ranks.group import first_of_machine, from_first, is_first
from detnas_trainer.training.checkpoint import CheckpointRecord, Checkpoints
from detnas_trainer.training.interruption import Interruption
from detnas_trainer.training.progress import ProgressReporter
from detnas_trainer.training.time_left import RemainingWork
from detnas_trainer.weights import Weights, load_weights, save_weights

log = logging.getLogger("detnas_trainer")


class AlreadyEndedError(RuntimeError):
    """Another attempt has ended the job meanwhile.

    Args:
        outcome: of its result.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"another attempt was first: its result ({outcome}) is kept")


class Activities:
    """Seconds by activity; every moment belongs to exactly one, the innermost."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stack = ["starting"]
        self._since = clock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def activity(self, name: str) -> Iterator[None]:
        """Count the block's time under ``name``, less what blocks inside it count."""
        self._settle()
        self._stack.append(name)
        try:
            yield
        finally:
            self._settle()
            self._stack.pop()

    @property
    def current(self) -> str:
        """The innermost activity under way; readable from any thread."""
        return self._stack[-1]

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count time that an earlier attempt spent."""
        for name, spent in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    def seconds(self) -> dict[str, float]:
        """Seconds by activity until now, in the order they began."""
        self._settle()
        return dict(self._seconds)

    def _settle(self) -> None:
        now = self._clock()
        name = self._stack[-1]
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


R = TypeVar("R")
Kind = TypeVar("Kind", bound=Result)

_PACKAGES = {
    "detnas": "detnas",
    "torch": "torch",
    "mmdet": "onedl-mmdetection",
    "mmcv": "onedl-mmcv",
    "mmengine": "onedl-mmengine",
    "faster-coco-eval": "faster-coco-eval",
}


@dataclass
class Job(Generic[R]):
    """One attempt at a job.

    Attributes:
        folder: in the store, with the request.
        attempt: of this process.
        checkpoint: what it resumes from.
        checkpoints: of the job, to which this attempt adds.
        activities: where its time goes.
        interruption: whether it was asked to stop.
        reporter: of its progress.
        scratch: local folder that is deleted when the job ends.
        remaining: what is left to do, for the estimate.
        clock: seconds, monotonic.
        check_data_again: raises DataChangedError where the data set has changed since the job
            opened it.
        held: resources that are released when the job ends.
        replays: only the step after the checkpoint is taken; nothing is written.
    """

    folder: JobFolder[R]
    attempt: Attempt
    checkpoint: CheckpointRecord | None
    checkpoints: Checkpoints
    activities: Activities
    interruption: Interruption
    reporter: ProgressReporter
    scratch: Path
    remaining: RemainingWork = field(default_factory=RemainingWork)
    clock: Callable[[], float] = time.monotonic
    check_data_again: Callable[[], None] = lambda: None
    held: ExitStack = field(default_factory=ExitStack)
    replays: bool = False

    @property
    def request(self) -> R:
        """The job's request."""
        return self.folder.request

    def activity(self, name: str) -> AbstractContextManager[None]:
        """Count the block's time under ``name``."""
        return self.activities.activity(name)

    def fetch(self, artifact: Artifact) -> Weights:
        """Weights that a record names, verified by their digest and cached on this machine."""
        with first_of_machine():
            path = fetch_artifact(self.folder.store, artifact)
        return load_weights(path)

    def publish(self, state: dict[str, Tensor], **metadata: Any) -> Artifact:
        """Store weights under the name of their content, with JSON beside them."""

        def publish() -> Artifact:
            path = self.scratch / "weights.safetensors"
            save_weights(path, state, metadata)
            return publish_file(self.folder.store, self.folder.key, path, "safetensors")

        with self.activity("publishing"):
            return from_first(publish)

    def result(self, kind: type[Kind], **findings: Any) -> Kind:
        """A result with everything that results have in common filled in."""
        return kind(
            attempt=self.attempt.number,
            started=self.attempt.started,
            finished=datetime.now(UTC),
            seconds={name: round(s, 3) for name, s in self.activities.seconds().items()},
            versions=versions(),
            **findings,
        )

    def check_unfinished(self) -> None:
        """Check that no other attempt has ended the job; call it before files are replaced.

        Raises:
            AlreadyEndedError: the job has its result, which names that attempt's files.
        """
        ended = self.folder.outcome()
        if ended is not None:
            raise AlreadyEndedError(ended)

    def file_progress(self, activity: str) -> Callable[[int, int], None]:
        """Return a function that reports the files done, and all files, of the data set.

        It raises Interrupted once the process was asked to stop.

        Args:
            activity: what is done with the files, such as ``fetching data``.
        """
        start = self.clock()

        def report(done: int, total: int) -> None:
            self.interruption.check()
            now = datetime.now(UTC)
            progress = Progress(activity=activity, done=done, total=total, updated=now)
            seconds = self.clock() - start
            details = {"files_per_second": round(done / seconds)} if done and seconds else {}
            self.report(progress, **details)

        return report

    def report(self, progress: Progress, **details: object) -> None:
        """Report the progress, with the time left if it can be estimated; rank 0 alone does."""
        if not is_first():
            return
        left = self.remaining.seconds_left()
        self.reporter.report(progress.model_copy(update={"seconds_left": left}), **details)


def versions() -> dict[str, str]:
    """Versions of the packages that decide what is computed."""
    found = {}
    for name, distribution in _PACKAGES.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def opened_job(folder: JobFolder[R]) -> Iterator[Job[R]]:
    """Begin an attempt at a job, from the newest checkpoint of any earlier attempt.

    Rank 0 decides on both, and alone reports progress.
    """
    clock = time.monotonic
    interruption = Interruption()
    interval = float(os.environ.get("DETNAS_CHECKPOINT_SECONDS", "600"))
    with scratch_folder() as scratch, interruption.on_sigterm(), ExitStack() as held:
        activities = Activities(clock)
        checkpoints = Checkpoints(folder.store, folder.key, scratch, clock, interval)
        checkpoint = from_first(checkpoints.newest)
        if checkpoint:
            if not is_first():
                checkpoints.fetch(checkpoint)
            activities.add(checkpoint.seconds)
            log.info("resuming from iteration %d", checkpoint.iteration)
        resumed_at = checkpoint.iteration if checkpoint else 0
        attempt = from_first(lambda: folder.claim_attempt(resumed_at, lambda: datetime.now(UTC)))
        key = progress_key(folder.key, attempt.number)
        reporter = ProgressReporter(folder.store, key, clock, activity=lambda: activities.current)
        with reporter.heartbeat() if is_first() else nullcontext(), checkpoints.complete():
            yield Job(
                folder,
                attempt,
                checkpoint,
                checkpoints,
                activities,
                interruption,
                reporter,
                scratch,
                held=held,
            )
