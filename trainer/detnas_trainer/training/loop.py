"""The train loop: every step is a function of (seed, iteration) and of the weights before it."""

import logging
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Protocol

import numpy as np
import torch
import torch._dynamo  # any optimiser imports it: so it is imported before jobs are forked
from torch import Tensor, nn

from detnas.records.progress import Progress
from detnas.records.settings import Training
from detnas_trainer.data.detection_data import Batch, DetectionData, batches
from detnas_trainer.data.draws import BatchDraws, seed_of
from detnas_trainer.ranks.batch import share_training
from detnas_trainer.ranks.group import average, own_share, rank, rank_count
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.checkpoint import CheckpointRecord
from detnas_trainer.training.schedule import learning_rate

_RECENT = 20
_MODEL, _MOMENTUM = "model.", "momentum."

log = logging.getLogger("detnas_trainer")


class DivergedError(RuntimeError):
    """Loss or gradient is no longer a finite number."""


class LoopHooks(Protocol):
    """What the loop calls after every step."""

    def stepped(self, progress: Progress, rate: float) -> None:
        """Report the progress of the training."""
        ...

    def wants_checkpoint(self) -> bool:
        """Whether to save now."""
        ...

    def save(
        self, iteration: int, tensors: dict[str, Tensor], recent: tuple[dict[str, float], ...]
    ) -> None:
        """Store a checkpoint; may raise `Interrupted` afterwards."""
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
            self._optimizer.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
        self._recent.extend(record.recent)
        self._start = record.iteration

    def run(self) -> None:
        """Train to the end.

        Raises:
            DivergedError: the loss or a gradient is not finite.
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
            self._step(iteration, batch, rate)
            self._hooks.stepped(self._progress(iteration + 1), rate)
            if self._hooks.wants_checkpoint() or iteration + 1 == last:
                self._hooks.save(iteration + 1, self._tensors(), tuple(self._recent))

    def final_loss(self) -> dict[str, float]:
        """Mean of the last steps' losses by name."""
        names = self._recent[-1] if self._recent else {}
        return {
            name: sum(losses.get(name, 0.0) for losses in self._recent) / len(self._recent)
            for name in names
        }

    def _step(self, iteration: int, batch: Batch, rate: float) -> None:
        self._seed(iteration)
        data = self._trainee.preprocess(batch)
        losses = self._trainee.loss(iteration, data["inputs"], data["data_samples"])
        total, values = _summed(losses)  # the values are the ranks' mean
        self._recent.append(values)
        _check_finite("loss", values["loss"], iteration)
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        average(p.grad for p in self._parameters.values() if p.grad is not None)
        self._clip(iteration)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()

    def _seed(self, iteration: int) -> None:
        seed, size = self._plan.draws.seed, self._plan.draws.batch_size
        seed_everything(seed_of("step", seed, iteration))
        slots = own_share(range(size))
        self._trainee.seed_images([seed_of("image", seed, iteration, slot) for slot in slots])

    def _clip(self, iteration: int) -> None:
        largest = float(self._plan.training.gradient_clip) or float("inf")
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), largest)
        _check_finite("gradient norm", float(norm), iteration)

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
        return tensors


def seed_everything(seed: int) -> None:
    """Seed every generator that mmdet, torch and we draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - mmdet draws from numpy's global generator
    torch.manual_seed(seed)


def _summed(losses: Losses) -> tuple[Tensor, dict[str, float]]:
    """The total as mmengine sums it, and every value by name with the total under ``loss``."""
    means = {
        name: value.mean() if isinstance(value, Tensor) else _sum(v.mean() for v in value)
        for name, value in losses.items()
    }
    total = _sum(value for name, value in means.items() if "loss" in name)
    names = [*means, "loss"]
    values = torch.stack([value.detach().float() for value in [*means.values(), total]])
    average([values])
    return total, dict(zip(names, values.tolist(), strict=True))


def _sum(values: Iterator[Tensor]) -> Tensor:
    total = next(values)
    for value in values:
        total = total + value
    return total


def _check_finite(what: str, value: float, iteration: int) -> None:
    if not isfinite(value):
        raise DivergedError(f"{what} is {value} at iteration {iteration}")


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
