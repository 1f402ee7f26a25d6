"""Losses and gradients of a batch, in parts that fit the memory, in the precision asked for."""

import logging
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detnas.records.settings import Precision, Training
from detnas_trainer.data.detection_data import Batch
from detnas_trainer.data.draws import seed_of
from detnas_trainer.detector import fastest_format
from detnas_trainer.ranks.group import average, own_share, rank_count
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.memory import (
    RestartInParts,
    explain,
    is_out_of_memory,
    release_memory,
)
from detnas_trainer.training.recomputation import recompute_blocks

log = logging.getLogger("detnas_trainer")

_REMEDY = "lower batchSize, or microBatch below {}, of this training, or the largest resolution"
_SCALER = ("scale", "_growth_tracker")


class DivergedError(RuntimeError):
    """Loss or gradient is no longer a finite number."""


class Gradients:
    """Computes the gradients of one batch after the other.

    A batch that does not fit is computed in parts (`training.microBatch`), each padded like the
    entire batch. The parts' gradients add up to the batch's, as far as every image has as many
    sampled anchors and RoIs; batch norms see one part at a time. If memory runs out, the step is
    repeated once with half as many images in a part, and so are all later ones; several ranks do
    so after they were started again.

    Attributes:
        micro_batch: images in a part; None if the batch is one.
        scaler: of the loss, for 16-bit floats whose gradients would vanish.
    """

    def __init__(self, trainee: DetectorTrainee, training: Training, seed: int) -> None:
        self.micro_batch = training.micro_batch
        self._trainee = trainee
        self._training = training
        self._seed = seed
        self._parameters = list(trainee.module.parameters())
        self._device = self._parameters[0].device.type
        self._dtype = _dtype_of(training.precision, self._device)
        self._format = fastest_format(self._device)
        trainee.module.to(memory_format=self._format)
        if training.activation_checkpointing:
            recompute_blocks(trainee.module.backbone)
        self.scaler = torch.amp.GradScaler(self._device, enabled=self._dtype == torch.float16)
        self._buffers = list(trainee.module.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]

    def compute(self, iteration: int, batch: Batch) -> dict[str, float]:
        """Set the parameters' gradients to those of the batch.

        Returns:
            Every loss by name, and their total as ``loss``; means over the ranks.

        Raises:
            DivergedError: the loss is not finite.
            OutOfMemoryError: nor does half as much fit.
            RestartInParts: half as much may fit, but other ranks wait for this one. The state is
                that before the step, `micro_batch` that of the next attempt.
        """
        _copy(self._buffers, self._before)
        images = len(batch["inputs"])
        smaller = 0
        try:
            return self._in_parts(iteration, batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            smaller = self._smaller(images)
            if not smaller:
                raise explain(error, _REMEDY.format(self.micro_batch or images)) from error
        # Not in the handler: it would keep what the failed pass had allocated.
        notice = f"memory ran out: from iteration {iteration} on, {smaller} images at once"
        self.restore()
        release_memory()
        self.micro_batch = smaller
        if rank_count() > 1:
            raise RestartInParts(notice)
        log.warning("%s", notice)
        return self._in_parts_at_last(iteration, batch)

    def resume(self, micro_batch: int | None, scaler: dict[str, Tensor]) -> None:
        """Continue as a checkpoint says: with its parts, and the scaler as `scaler_state` was."""
        self.micro_batch = micro_batch or self._training.micro_batch
        if scaler and self.scaler.is_enabled():
            values = {name: value.item() for name, value in scaler.items()}
            self.scaler.load_state_dict({**self.scaler.state_dict(), **values})

    def scaler_state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of the scaler."""
        state = self.scaler.state_dict()
        return {name: torch.tensor(state[name]) for name in _SCALER if name in state}

    def restore(self) -> None:
        """Undo what the last batch has changed: the batch norms' statistics."""
        _copy(self._before, self._buffers)
        self._trainee.module.zero_grad(set_to_none=True)

    def _smaller(self, images: int) -> int:
        """Half as many images at once, or 0 if that has been tried."""
        if self.micro_batch != self._training.micro_batch:
            return 0
        return min(self.micro_batch or images, images) // 2

    def _in_parts_at_last(self, iteration: int, batch: Batch) -> dict[str, float]:
        try:
            return self._in_parts(iteration, batch)
        except Exception as error:
            if is_out_of_memory(error):
                raise explain(error, _REMEDY.format(self.micro_batch)) from error
            raise

    def _in_parts(self, iteration: int, batch: Batch) -> dict[str, float]:
        seed_everything(seed_of("step", self._seed, iteration))
        data = self._trainee.preprocess(batch)
        inputs, samples = data["inputs"], data["data_samples"]
        seeds = self._image_seeds(iteration)
        self._trainee.module.zero_grad(set_to_none=True)
        found: dict[str, float] = {}
        for part, share in self._parts(len(inputs)):
            self._trainee.seed_images(seeds[part])
            with self._autocast():
                images = inputs[part].contiguous(memory_format=self._format)
                losses = self._trainee.loss(iteration, images, samples[part])
                total, values = _summed(losses)  # the values are the ranks' mean
            _check_finite(values, iteration)
            for name, value in values.items():
                found[name] = found.get(name, 0.0) + share * value
            self.scaler.scale(total * share).backward()
        return found

    def _parts(self, images: int) -> Iterator[tuple[slice, float]]:
        """The parts of a batch, and which share of it each is."""
        size = min(self.micro_batch or images, images)
        for start in range(0, images, size):
            end = min(start + size, images)
            yield slice(start, end), (end - start) / images

    def _image_seeds(self, iteration: int) -> list[int]:
        slots = own_share(range(self._training.batch_size))
        return [seed_of("image", self._seed, iteration, slot) for slot in slots]

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device, dtype=self._dtype)


def seed_everything(seed: int) -> None:
    """Seed every generator that mmdet, torch and we draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - mmdet draws from numpy's global generator
    torch.manual_seed(seed)


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    """Copy tensors, those of one type at once: a supernet has hundreds of buffers."""
    for dtype in {tensor.dtype for tensor in sources}:
        pairs = [p for p in zip(sources, targets, strict=True) if p[0].dtype == dtype]
        torch._foreach_copy_([target for _, target in pairs], [source for source, _ in pairs])


def _dtype_of(precision: Precision | None, device: str) -> torch.dtype:
    """The type of most activations; without one, as earlier versions asked, 32 bits."""
    match precision:
        case Precision.AUTO:
            fast = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if fast else torch.float32
        case Precision.BFLOAT16:
            return torch.bfloat16
        case Precision.FLOAT16:
            return torch.float16
        case _:
            return torch.float32


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


def _check_finite(values: dict[str, float], iteration: int) -> None:
    if isfinite(values["loss"]):
        return
    terms = ", ".join(
        f"{name} {value}"
        for name, value in values.items()
        if "loss" in name and name != "loss" and not isfinite(value)
    )
    raise DivergedError(
        f"loss is {values['loss']} at iteration {iteration} ({terms or 'their sum overflows'})"
    )
