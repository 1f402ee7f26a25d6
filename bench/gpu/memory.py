"""A batch that does not fit, and batch norms over ranks in 16 bits."""

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm as synchronised  # noqa: N813 - a function

from bench.gpu.figures import Figures
from bench.gpu.scale import Scale
from bench.gpu.steps import GIB, build, noise, peak_memory, step_of
from detnas_trainer.ranks.batch_norm import RanksBatchNorm2d
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.gradients import Gradients


def out_of_memory(figures: Figures, scale: Scale, folder: Path) -> None:
    """A step for which the GPU has too little memory is repeated in halves.

    Without a GPU the error is raised as it would be.
    """
    del folder
    images, half = noise(scale, scale.batch), scale.batch // 2
    trainee = DetectorTrainee(build(scale))
    expected = Gradients(trainee, scale.training(micro_batch=half), 1)
    losses = expected.compute(0, images.batch(scale.batch))
    if scale.device == "cuda":
        parts, whole = (
            peak_memory(scale, step_of(trainee, scale.training(micro_batch=part), images))
            for part in (half, None)
        )
        figures.add("peak memory, halves", parts / GIB, "GiB")
        figures.add("peak memory, the entire batch", whole / GIB, "GiB")
        del expected, trainee
        torch.cuda.empty_cache()
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction((parts + whole) / 2 / total)
        trainee = DetectorTrainee(build(scale))
    else:
        trainee = _Full(build(scale))
    gradients = Gradients(trainee, scale.training(), 1)
    found = gradients.compute(0, images.batch(scale.batch))
    assert gradients.micro_batch == half, f"{gradients.micro_batch} images at once"
    difference = abs(found["loss"] / losses["loss"] - 1)
    figures.require("loss after the retry against one in halves", difference, at_most=0.01)


def synchronised_batch_norms(figures: Figures, scale: Scale, folder: Path) -> None:
    """A step in bfloat16 whose batch norms exchange statistics, among one rank."""
    backend = "nccl" if scale.device == "cuda" else "gloo"
    os.environ["LOCAL_RANK"] = "0"
    dist.init_process_group(
        backend, init_method=(folder / "meeting").as_uri(), rank=0, world_size=1
    )
    images = noise(scale, scale.batch).batch(scale.batch)
    losses = []
    for kind in (nn.BatchNorm2d, _OneRank if scale.device == "cuda" else RanksBatchNorm2d):
        detector = build(scale)
        for part in detector.modules():
            if type(part) is nn.BatchNorm2d:
                part.__class__ = kind
        losses.append(Gradients(DetectorTrainee(detector), scale.training(), 1).compute(0, images))
        norms = [p.grad for n, p in detector.named_parameters() if ".bn1." in n]
        assert all(g is not None and g.isfinite().all() for g in norms)
    plain, shared = losses
    difference = abs(shared["loss"] / plain["loss"] - 1)
    figures.require("loss against plain batch norms", difference, at_most=0.02)


class _OneRank(nn.BatchNorm2d):
    """torch's synchronised batch norm, which leaves one rank to the plain one."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        group = dist.group.WORLD
        output: Tensor = synchronised.apply(
            input,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.eps,
            self.momentum,
            group,
            1,
        )
        return output


class _Full(DetectorTrainee):
    """A detector on a device that has room for half of a batch."""

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        losses = super().loss(iteration, inputs, samples)
        if len(inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Raised by the bench.")
        return losses
