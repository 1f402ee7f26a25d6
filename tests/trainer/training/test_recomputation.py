"""Blocks that are computed again in the backward pass train as those that keep all activations."""

from decimal import Decimal
from typing import Any

import pytest
import torch
from torch import Tensor

from detnas.architecture import Family
from detnas.records.settings import DataLocation
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.training.gradients import Gradients
from detnas_trainer.training.recomputation import recompute_blocks
from tests.trainer.conftest import CLASSES, training
from tests.trainer.samples import make_batch
from tests.trainer.supernet.conftest import Supernet, make_supernet
from tests.trainer.training.test_loop import SIZES, make_trainee

NARROW = Teacher(
    depths=(1, 2, 2, 1),
    widths=tuple(map(Decimal, ("0.75", "0.5", "1.0", "0.75", "0.5", "0.75"))),
)
WITHOUT_PROJECTION = Teacher(
    depths=(1, 2, 2, 1),
    widths=tuple(map(Decimal, ("1.0", "0.5", "1.0", "0.75", "0.5", "0.75"))),
)


def _pass(supernet: Supernet, teacher: Teacher) -> list[Tensor]:
    """Gradients and statistics after a step whose backward pass begins outside the subnet."""
    supernet.detector.train()
    torch.manual_seed(7)
    losses = supernet.elastic.loss(teacher, *make_batch(5))
    supernet.detector.parse_losses(losses)[0].backward()
    found = [p.grad for p in supernet.detector.parameters() if p.grad is not None]
    return [*found, *supernet.detector.buffers()]


@pytest.mark.parametrize("teacher", [None, NARROW, WITHOUT_PROJECTION], ids=["largest", "a", "b"])
@pytest.mark.parametrize("family", [Family.BASIC, Family.BOTTLENECK], ids=str)
def test_subnet_gets_the_gradients_and_statistics_of_one_that_keeps_all(
    family: Any, teacher: Teacher | None
) -> None:
    plain, recomputed = make_supernet(family), make_supernet(family)
    recompute_blocks(recomputed.detector.backbone)
    expected, found = (_pass(s, teacher or s.space.largest) for s in (plain, recomputed))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert recomputed.detector.backbone.layer1[0].bn1.momentum == 0.1
    assert plain.detector.state_dict().keys() == recomputed.detector.state_dict().keys()


def test_blocks_keep_one_tensor_each() -> None:
    counts = []
    for twice in (False, True):
        backbone = make_supernet(Family.BOTTLENECK).detector.backbone.train()
        if twice:
            recompute_blocks(backbone)
        kept: list[Tensor] = []
        features = torch.randn(2, 8, 16, 16)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, kept=kept: kept.append(tensor) or tensor,  # type: ignore[misc]
            lambda tensor: tensor,
        ):
            for layer in backbone.layers:
                features = layer(features)
        assert features.requires_grad
        counts.append(len(kept))
    assert counts[0] > 50
    assert counts[1] == sum(map(len, backbone.layers))  # one a block


def test_blocks_are_computed_once_without_gradients() -> None:
    backbone = make_supernet(Family.BASIC).detector.backbone
    images = torch.randn(2, 3, 64, 64)
    expected = backbone.eval()(images)
    recompute_blocks(backbone)
    assert all(map(torch.equal, backbone(images), expected))


def test_setting_of_a_training_recomputes_its_blocks(
    tiny_data: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DetectionData(tiny_data, "train", CLASSES)
    batch = next(iter(batches(data, [data.samples(SIZES[1])[:4]], workers=0)))
    passes: list[int] = []
    found = []
    for twice in (False, True):
        trainee = make_trainee()
        plain = trainee.module.backbone.layer1[0].conv1
        plain.register_forward_hook(lambda *_: passes.append(1))
        settings = training(1, activation_checkpointing=twice)
        losses = Gradients(trainee, settings, 3).compute(0, batch)
        gradients = [p.grad for p in trainee.module.parameters()]
        found.append((len(passes), losses, gradients, list(trainee.module.buffers())))
    (once, *expected), (thrice, *again) = found
    assert (once, thrice) == (1, 3)
    torch.testing.assert_close(again, expected, rtol=1e-5, atol=1e-7)
