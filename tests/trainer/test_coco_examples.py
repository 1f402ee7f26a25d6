"""The manifests of `examples/coco`: GPUs as in the paper, and each base trains at its full size."""

import math
from pathlib import Path

import pytest
import torch

from detnas.records.requests import DetectorUpgrade
from detnas.spec import load_manifest
from detnas.spec.batch_shares import unequal_shares
from detnas_trainer.detector import build_detector
from detnas_trainer.evolve import upgraded_architecture, upgraded_shape
from detnas_trainer.trainee import DetectorTrainee
from tests.trainer.samples import make_batch

MANIFESTS = sorted(
    (Path(__file__).parents[2] / "examples" / "coco").glob("*.yaml"), key=lambda path: path.stem
)
CLASSES = 80


def test_coco_examples_are_the_papers_bases_and_mobilenetv2() -> None:
    assert [path.stem for path in MANIFESTS] == [
        "mobilenetv2", "r101", "r18", "r50", "x101", "x101-upgrade",
    ]  # fmt: skip


def test_upgrade_of_x101_is_under_an_external_teacher_and_else_the_same_search() -> None:
    plain, upgraded = (load_manifest(path).spec for path in MANIFESTS[-2:])
    assert upgraded.finetune is not None
    assert upgraded.finetune.upgrade is not None
    assert upgraded.teachers.external is not None
    assert upgraded.base == plain.base
    assert upgraded.search == plain.search


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_example_trains_on_the_papers_gpus(path: Path) -> None:
    spec = load_manifest(path).spec
    teachers, evaluation, finetune = spec.teachers, spec.evaluation, spec.finetune
    assert finetune is not None
    assert teachers.workers * teachers.gpus_per_worker == 32
    assert teachers.batch_size == 2 * 32
    assert spec.search.parallelism * evaluation.gpus == 32
    assert (spec.base.gpus, evaluation.gpus, finetune.gpus) == (8, 4, 4)
    assert unequal_shares(spec) == ()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_full_size_detector_takes_a_training_step(path: Path) -> None:
    spec = load_manifest(path).spec
    torch.manual_seed(0)
    architecture, shape = spec.base.resolve(), spec.detector
    if spec.finetune is not None and (fields := spec.finetune.upgrade) is not None:
        upgrade = DetectorUpgrade(deformable=fields.dcn, cascade=fields.cascade)
        architecture = upgraded_architecture(architecture, upgrade)
        shape = upgraded_shape(shape, upgrade)
    trainee = DetectorTrainee(build_detector(architecture, shape, CLASSES).train())
    stem = trainee.module.backbone.conv1.weight
    before = stem.detach().clone()
    optimiser = torch.optim.SGD(trainee.module.parameters(), lr=0.02)

    losses = trainee.loss(0, *make_batch(5))
    loss, _ = trainee.module.parse_losses(losses)
    loss.backward()
    optimiser.step()

    assert math.isfinite(loss.item())
    assert not torch.equal(stem, before)
