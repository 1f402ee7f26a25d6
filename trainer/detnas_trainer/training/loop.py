"""The train loop: every step is a function of (seed, iteration) and of the weights before it."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Protocol

import torch
import torch._dynamo  # any optimiser imports it: so it is imported before jobs are forked
from torch import Tensor, nn

from detnas.records.progress import Progress
from detnas.records.settings import Training
from detnas_trainer.data.detection_data import Batch, DetectionData, batches
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.ranks.batch import share_training
from detnas_trainer.ranks.group import average, rank, rank_count
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.average import WeightAverage
from detnas_trainer.training.checkpoint import CheckpointRecord
from detnas_trainer.training.gradients import DivergedError, Gradients
from detnas_trainer.training.memory import RestartInParts
from detnas_trainer.training.schedule import learning_rate

_RECENT = 20
_MODEL, _MOMENTUM, _SCALER, _AVERAGE = "model.", "momentum.", "scaler.", "average."


class LoopHooks(Protocol):
    """What the loop calls after every step."""

    def stepped(self, progress: Progress, rate: float) -> None:
        """Report the progress of the training."""
        ...

    def wants_checkpoint(self) -> bool:
        """Whether to save now."""
        ...

    def save(
        self,
        iteration: int,
        tensors: dict[str, Tensor],
        recent: tuple[dict[str, float], ...],
        micro_batch: int | None,
        alone: bool = False,
    ) -> None:
        """Store a checkpoint; may raise `Interrupted` afterwards.

        All ranks call it, and rank 0 stores, unless one does so ``alone`` while others wait in a
        step: then it is stored when this returns.
        """
        ...


@dataclass(frozen=True)
class TrainingPlan:
    """An entire run, from its first step to its last."""

    training: Training
    draws: BatchDraws

    @property
    def iterations(self) -> int:
        """Steps of the run."""
        return self.draws.iterations


class TrainingLoop:
    """Stochastic gradient descent that can stop after any step and resume from there.

    Each rank trains on its share of every batch; the gradients are averaged over the ranks, and so
    every rank takes the same step.
    """

    def __init__(
        self,
        trainee: DetectorTrainee,
        plan: TrainingPlan,
        data: DetectionData,
        hooks: LoopHooks,
    ) -> None:
        share_training(trainee.module)  # before its parameters are listed
        self._trainee = trainee
        self._plan = plan
        self._data = data
        self._hooks = hooks
        self._gradients = Gradients(trainee, plan.training, plan.draws.seed)
        decay = plan.training.ema  # after the gradients, which may lay the weights out anew
        self._average = WeightAverage(trainee.module, float(decay)) if decay else None
        self._start = 0
        self._recent: deque[dict[str, float]] = deque(maxlen=_RECENT)
        self._parameters = {
            name: parameter
            for name, parameter in trainee.module.named_parameters()
            if parameter.requires_grad
        }
        training = plan.training
        self._optimizer = torch.optim.SGD(
            self._parameters.values(),
            lr=float(training.learning_rate),
            momentum=float(training.momentum),
            weight_decay=float(training.weight_decay),
        )

    def resume(self, record: CheckpointRecord, tensors: dict[str, Tensor]) -> None:
        """Continue from a checkpoint of the same run."""
        self._trainee.module.load_state_dict(_under(_MODEL, tensors))
        for name, momentum in _under(_MOMENTUM, tensors).items():
            parameter = self._parameters[name]
            kept = torch.empty_like(parameter).copy_(momentum)  # in the parameter's memory format
            self._optimizer.state[parameter]["momentum_buffer"] = kept
        if self._average is not None:
            self._average.resume(_under(_AVERAGE, tensors))
        self._gradients.resume(record.micro_batch, _under(_SCALER, tensors))
        self._recent.extend(record.recent)
        self._start = record.iteration

    def run(self) -> None:
        """Train to the end; the module then has the averaged weights, if they are averaged.

        Raises:
            DivergedError: the loss or a gradient is not finite; the last checkpoint is of the step
                before.
            OutOfMemoryError: not even half a batch fits.
            RestartInParts: memory ran out on this of several ranks; a checkpoint of the step
                before, with smaller parts, is stored.
        """
        last = self._plan.iterations
        draws = (
            self._plan.draws.batch(iteration, rank(), rank_count())
            for iteration in range(self._start, last)
        )
        for iteration, batch in zip(
            range(self._start, last), batches(self._data, draws), strict=True
        ):
            rate = learning_rate(self._plan.training, iteration, last)
            try:
                self._step(iteration, batch, rate)
            except DivergedError:
                self._gradients.restore()
                self._save(iteration)
                raise
            except RestartInParts:
                self._save(iteration, alone=True)
                raise
            self._hooks.stepped(self._progress(iteration + 1), rate)
            if self._hooks.wants_checkpoint() or iteration + 1 == last:
                self._save(iteration + 1)
        if self._average is not None:
            self._average.apply()

    def replay(self) -> dict[str, float]:
        """Take the one step after the checkpoint, and return its losses.

        Raises:
            DivergedError: the loss or a gradient is not finite.
        """
        batch = self._plan.draws.batch(self._start, rank(), rank_count())
        with torch.autograd.set_detect_anomaly(True):
            self._step(self._start, next(batches(self._data, [batch], workers=0)), rate=0.0)
        return self._recent[-1]

    @property
    def micro_batch(self) -> int | None:
        """Images that a part of a batch has; None if batches were not divided."""
        return self._gradients.micro_batch

    def final_loss(self) -> dict[str, float]:
        """Mean of the last steps' losses by name."""
        names = self._recent[-1] if self._recent else {}
        return {
            name: sum(losses.get(name, 0.0) for losses in self._recent) / len(self._recent)
            for name in names
        }

    def _step(self, iteration: int, batch: Batch, rate: float) -> None:
        values = self._gradients.compute(iteration, batch)
        average(p.grad for p in self._parameters.values() if p.grad is not None)
        scaler = self._gradients.scaler
        scaler.unscale_(self._optimizer)
        self._clip(iteration, values)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        scaler.step(self._optimizer)  # leaves out a step whose scaled gradients overflowed
        scaler.update()
        if self._average is not None:
            self._average.update()
        self._recent.append(values)

    def _save(self, done: int, alone: bool = False) -> None:
        micro_batch = self._gradients.micro_batch
        self._hooks.save(done, self._tensors(), tuple(self._recent), micro_batch, alone)

    def _clip(self, iteration: int, values: dict[str, float]) -> None:
        largest = float(self._plan.training.gradient_clip) or float("inf")
        norm = float(nn.utils.clip_grad_norm_(self._parameters.values(), largest))
        scaler = self._gradients.scaler
        overflow = scaler.is_enabled() and scaler.get_scale() > 1
        if not isfinite(norm) and not overflow:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise DivergedError(f"gradient norm is {norm} at iteration {iteration} ({terms})")

    def _progress(self, done: int) -> Progress:
        return Progress(
            activity="training",
            done=done,
            total=self._plan.iterations,
            epoch=self._plan.draws.epoch(done - 1) + 1,
            epochs=self._plan.training.epochs,
            loss=self._recent[-1]["loss"],
            updated=datetime.now(UTC),
        )

    def _tensors(self) -> dict[str, Tensor]:
        state = self._trainee.module.state_dict()
        tensors = {f"{_MODEL}{name}": value for name, value in state.items()}
        for name, parameter in self._parameters.items():
            momentum = self._optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"{_MOMENTUM}{name}"] = momentum
        averages = self._average.tensors if self._average is not None else {}
        return (
            tensors
            | {f"{_SCALER}{name}": value for name, value in self._gradients.scaler_state().items()}
            | {f"{_AVERAGE}{name}": value for name, value in averages.items()}
        )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
