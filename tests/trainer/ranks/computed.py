"""``python -m tests.trainer.ranks.computed FOLDER``: a rank that computes what the tests compare.

Without a rank in its environment it computes the same alone. Rank 0 saves what it found as
``FOLDER/ranks-<number of ranks>.pt``.
"""

import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from detnas_trainer import mmcv_ext

mmcv_ext.install()

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from detnas.records.requests import PoolLayout, PoolPhaseRequest  # noqa: E402
from detnas.records.settings import (  # noqa: E402
    SPLITS,
    DataLocation,
    DetectorShape,
    Distillation,
    HeadKind,
    Resolution,
)
from detnas_trainer.data.detection_data import DetectionData, batches  # noqa: E402
from detnas_trainer.data.draws import statistics_samples  # noqa: E402
from detnas_trainer.detector import build_detector  # noqa: E402
from detnas_trainer.evaluation import coco_detections, evaluate, predictions  # noqa: E402
from detnas_trainer.jobs.verbs.training import plan_of  # noqa: E402
from detnas_trainer.ranks.batch import pad_alike  # noqa: E402
from detnas_trainer.ranks.batch_norm import share_batch_norms  # noqa: E402
from detnas_trainer.ranks.group import (  # noqa: E402
    average,
    gathered_shares,
    join,
    own_share,
    rank,
    rank_count,
)
from detnas_trainer.supernet import build_phase, extract_teacher  # noqa: E402
from detnas_trainer.trainee import DetectorTrainee  # noqa: E402
from detnas_trainer.training.gradients import seed_everything  # noqa: E402
from detnas_trainer.training.loop import TrainingLoop  # noqa: E402
from tests.trainer.conftest import CLASSES, SHAPE, SPACE, training  # noqa: E402

STEPS = 3
HEADS = DetectorShape(neck=8, fc=16, proposals=100, roi_samples=128, anchor_scale=2)
"""All proposals and objects of an image are sampled: their number differs between ranks."""

CASCADE = HEADS.model_copy(update={"head": HeadKind.CASCADE})
PLAIN = Distillation(localization="Plain")


class Steps:
    """Keeps every step's tensors and losses."""

    def __init__(self) -> None:
        self.tensors: list[dict[str, Tensor]] = []
        self.losses: list[dict[str, float]] = []

    def stepped(self, *_: Any) -> None:
        """Do nothing."""

    def wants_checkpoint(self) -> bool:
        """After every step."""
        return True

    def save(
        self, _: int, tensors: dict[str, Tensor], recent: tuple[dict[str, float], ...], *_more: Any
    ) -> None:
        """Keep copies."""
        self.tensors.append({name: tensor.detach().clone() for name, tensor in tensors.items()})
        self.losses.append(recent[-1])


def main() -> None:
    """Compute everything."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        join()
    found = {
        "norm": batch_norm(),
        "padding": padded_size(),
        "evaluated": evaluated(folder),
        "plain": trained(folder, phase=0),
        "distilled subnets": trained(folder, phase=1),
        "masked features": trained(
            folder, phase=1, distillation=Distillation(features="GaussianMask")
        ),
    }
    found["cascade"] = trained(folder, phase=1, detector=CASCADE, distillation=PLAIN)
    if rank() == 0:
        torch.save(found, folder / f"ranks-{rank_count()}.pt")


def batch_norm() -> dict[str, Tensor]:
    """Two layers over a batch of 8: outputs, statistics and gradients of the mean loss."""
    generator = torch.Generator().manual_seed(3)
    whole = torch.randn(8, 3, 5, 6, generator=generator) * 2 + 5
    factor = torch.randn(8, 4, 5, 6, generator=generator)
    seed_everything(2)
    first = nn.BatchNorm2d(3)
    nn.init.uniform_(first.weight)
    net = nn.Sequential(first, nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    share_batch_norms(net)
    images = torch.stack(list(own_share(list(whole)))).requires_grad_()
    loss = (net(images) * torch.stack(list(own_share(list(factor))))).mean()
    loss.backward()
    average(parameter.grad for parameter in net.parameters() if parameter.grad is not None)
    found = {f"gradient of {name}": p.grad for name, p in net.named_parameters()}
    assert images.grad is not None
    by_image = images.grad[0] / rank_count()
    return {**net.state_dict(), **found, "gradient of the first image": by_image}


def padded_size() -> tuple[int, ...]:
    """Of a batch that is wider on one rank and higher on another."""
    size = (32, 64) if rank() % 2 else (64, 32)
    inputs = torch.ones(1, 3, 64, 64) if rank_count() == 1 else torch.ones(1, 3, *size)
    data: dict[str, Any] = {"inputs": inputs, "data_samples": []}
    pad_alike(data)
    assert data["inputs"].sum() == inputs.sum()
    return tuple(data["inputs"].shape)


def evaluated(folder: Path) -> dict[str, Any]:
    """A teacher with statistics of its own, what it finds, and its score."""
    location = DataLocation.model_validate_json((folder / "data.json").read_text())
    train, val = (DetectionData(location, name, CLASSES) for name in SPLITS)
    size = Resolution(width=64, height=64)
    seed_everything(1)
    layout = PoolLayout(supernet=SHAPE, space=SPACE)
    architecture = SHAPE.architecture(SPACE.largest)
    neck = SHAPE.neck_width(SPACE.largest)
    supernet = build_detector(architecture, HEADS, len(CLASSES), neck)
    draws = statistics_samples(3, train.groups(False), 5, (size,) * 3)
    teacher = extract_teacher(
        supernet.state_dict(),
        layout,
        SPACE.smallest,
        HEADS,
        len(CLASSES),
        batches(train, own_share(draws)),
    )
    numbers = val.split.category_numbers
    found = [
        [coco_detections(sample, numbers) for sample in samples]
        for samples in predictions(teacher, val, val.samples(size, by_shape=True), batch_size=2)
    ]
    return {
        "statistics": teacher.state_dict(),
        "detections": gathered_shares(found),
        "score": evaluate(teacher, val, size, batch_size=2).model_dump_json(),
    }


def trained(
    folder: Path, phase: int, **changes: Any
) -> list[tuple[dict[str, Tensor], dict[str, float]]]:
    """A few steps of a phase of the pool: tensors and losses after each.

    Several ranks compute a shrinking phase's blocks twice.
    """
    twice = phase > 0 and rank_count() > 1
    request = PoolPhaseRequest(
        key="local/pools/abc/phase",
        seed=4,
        phase=phase,
        data=DataLocation.model_validate_json((folder / "data.json").read_text()),
        classes=CLASSES,
        resolutions=(Resolution(width=48, height=48), Resolution(width=64, height=64)),
        training=training(1, gradient_clip=Decimal(2), activation_checkpointing=twice),
        supernet=SHAPE,
        full_space=SPACE,
        space=SPACE,
        bn_images=4,
        **{"detector": HEADS, **changes},
    )
    seed_everything(1)
    plain = build_phase(request.model_copy(update={"phase": 0}), None, None)
    weights = {name: tensor.clone() for name, tensor in plain.module.state_dict().items()}
    trainee: DetectorTrainee = build_phase(request, weights, weights) if phase else plain
    data, steps = DetectionData(request.data, "train", request.classes), Steps()
    TrainingLoop(trainee, plan_of(request, data), data, steps).run()
    return list(zip(steps.tensors, steps.losses, strict=True))[:STEPS]


if __name__ == "__main__":
    main()
