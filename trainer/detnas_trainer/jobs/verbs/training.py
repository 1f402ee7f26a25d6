"""Training, shared by the jobs that train a detector."""

from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from detnas.errors import UserError
from detnas.records.progress import Progress
from detnas.records.requests import EvaluationRequest, StudentRequest, TrainingRequest
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.jobs.data_set import fetch_prepared_data
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.ranks.group import (
    any_rank,
    first_of_machine,
    is_first,
    rank_count,
    wait_for_all,
)
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.epoch_losses import EpochLosses
from detnas_trainer.training.gradients import DivergedError
from detnas_trainer.training.loop import TrainingLoop, TrainingPlan


class Replayed(Exception):  # noqa: N818 - not a failure
    """The step was replayed, and its losses are finite.

    Attributes:
        losses: by name.
    """

    def __init__(self, losses: dict[str, float]) -> None:
        super().__init__()
        self.losses = losses


@dataclass(frozen=True)
class TrainingSummary:
    """What a result states of a training."""

    iterations: int = 0
    final_loss: dict[str, float] = field(default_factory=dict)
    loss_by_epoch: tuple[float, ...] = ()
    micro_batch: int | None = None


@dataclass(frozen=True)
class DataSet:
    """Both splits of a job's data set."""

    train: DetectionData
    val: DetectionData


def device() -> torch.device:
    """The GPU, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_data(job: Job[Any]) -> DataSet:
    """Fetch and open the data set that the request names, and count what is to do on it."""
    with first_of_machine():
        fetch_prepared_data(job)
    request: EvaluationRequest = job.request
    with job.activity("loading"):
        data = DataSet(
            DetectionData(request.data, "train", request.classes),
            DetectionData(request.data, "val", request.classes),
        )
    if isinstance(request, TrainingRequest):
        plan = plan_of(request, data.train)
        job.remaining.training = plan.iterations * pixels_per_step(plan)
    job.remaining.evaluating = len(data.val) * sum(size.pixels for size in request.resolutions)
    return data


def plan_of(request: TrainingRequest, data: DetectionData) -> TrainingPlan:
    """The training that a request describes."""
    draws = BatchDraws(
        seed=request.seed,
        groups=data.groups(request.by_orientation),
        batch_size=request.training.batch_size,
        resolutions=request.resolutions,
        flip=float(request.data.horizontal_flip),
        epochs=request.training.epochs,
    )
    return TrainingPlan(request.training, draws)


def check_shares(batch_size: int) -> None:
    """Check that every rank gets as many images of a batch as any other.

    Raises:
        UserError: the batch cannot be shared out.
    """
    ranks = rank_count()
    if batch_size % ranks:
        raise UserError(
            f"batchSize: {batch_size} images cannot be shared out equally over {ranks} processes",
            f"make it a multiple of {ranks}, or use a number of GPUs that divides it",
        )


def pixels_per_step(plan: TrainingPlan) -> float:
    """Pixels that a step trains on, averaged over the resolutions that are drawn."""
    draws = plan.draws
    return draws.batch_size * fmean(size.pixels for size in draws.resolutions)


def train(job: Job[Any], trainee: DetectorTrainee, data: DetectionData) -> TrainingSummary:
    """Train to the end of the request's schedule, from the job's checkpoint if it has one.

    Raises:
        DivergedError: the loss is not finite.
        OutOfMemoryError: not even half a batch fits.
        Interrupted: the process was asked to stop, or is to be started again with smaller parts of
            batches; a checkpoint is written.
        Replayed: the job only replays a step.
    """
    plan = plan_of(job.request, data)
    if not plan.iterations:
        return TrainingSummary()
    check_shares(plan.training.batch_size)
    if (warmup := plan.training.warmup_iterations) >= plan.iterations:
        raise UserError(
            f"warmupIterations: {warmup}, and the entire training has {plan.iterations} steps",
            "lower it to a tenth of them, or train for more epochs",
        )
    trainee.module.train()
    hooks = _JobHooks(job, plan)
    loop = TrainingLoop(trainee, plan, data, hooks)
    if job.checkpoint:
        with job.activity("resuming"):
            loop.resume(job.checkpoint, job.checkpoints.tensors(job.checkpoint))
    with job.activity("training"):
        try:
            if job.replays:
                raise Replayed(loop.replay())
            loop.run()
        except DivergedError as error:
            raise DivergedError(f"{error}; trained from {_origin(job.request)}") from error
    job.remaining.training = 0.0  # also where the checkpoint was of the last step
    return TrainingSummary(
        plan.iterations, loop.final_loss(), hooks.losses.means(), loop.micro_batch
    )


def _origin(request: TrainingRequest) -> str:
    """What a training starts from, for people."""
    if not isinstance(request, StudentRequest):
        return "its first weights"
    if request.trial is None or request.trial.parent is None:
        return f"the student in {request.parent_weights.key.rpartition('/')[0]}"
    action = request.action.kind if request.action else "no action"
    return f"trial {request.trial.parent} by {action}"


class _JobHooks:
    """Progress, checkpoints and requests to stop, for a job."""

    def __init__(self, job: Job[Any], plan: TrainingPlan) -> None:
        self.losses = EpochLosses(job.checkpoint.epochs if job.checkpoint else ())
        self._job = job
        self._pixels = pixels_per_step(plan)
        self._stops = False

    def stepped(self, progress: Progress, rate: float) -> None:
        job = self._job
        if progress.loss is not None:
            self.losses.add(progress.epoch, progress.loss)
        job.remaining.training = (progress.total - progress.done) * self._pixels
        job.remaining.training_pace.advanced(self._pixels, job.clock())
        job.report(progress, learning_rate=f"{rate:.5f}")

    def wants_checkpoint(self) -> bool:
        # All stop after the same step, whichever of them was asked to.
        self._stops = any_rank(self._job.interruption.requested)
        if self._stops:
            self._job.interruption.requested = True
        return self._stops or (is_first() and self._job.checkpoints.due())

    def save(
        self,
        iteration: int,
        tensors: dict[str, Tensor],
        recent: tuple[dict[str, float], ...],
        micro_batch: int | None,
        alone: bool = False,
    ) -> None:
        job = self._job
        if alone or is_first():
            with job.activity("checkpointing"):
                job.checkpoints.save(
                    job.attempt.number,
                    iteration,
                    tensors,
                    recent=recent,
                    seconds=job.activities.seconds(),
                    epochs=self.losses.record(),
                    micro_batch=micro_batch,
                )
                if alone or job.interruption.requested:
                    job.checkpoints.wait()
            log.info("checkpoint at iteration %d", iteration)
        if alone:
            return
        if self._stops:
            wait_for_all()  # a rank that ends has the others ended
        if self._stops or rank_count() == 1:
            job.interruption.check()
