"""A pool phase and a student's job that are stopped after every step end as if left alone."""

from decimal import Decimal
from typing import Any

import pytest
import torch

from detnas.actions import AddLayer
from detnas.architecture import Architecture, Family
from detnas.records.artifacts import Artifact
from detnas.records.requests import Pool, PoolPhaseRequest, StudentRequest
from detnas.records.results import DetectorResult, PoolPhaseResult
from detnas.store.artifacts import publish_file
from detnas.teachers import SupernetShape, TeacherSpace
from detnas_trainer import jobs
from detnas_trainer.detector import build_detector
from detnas_trainer.training.interruption import Interrupted, Interruption
from detnas_trainer.weights import save_weights
from tests.trainer.conftest import CLASSES, Workplace, training

STEPS = 3
SHAPE = SupernetShape(
    family=Family.BASIC, stem=6, inner=(8, 8, 8, 8), outputs=(8, 12, 12, 16), neck=8
)
SPACE = TeacherSpace(
    min_depths=(1, 1, 1, 1), max_depths=(1, 2, 2, 1), widths=(Decimal("1.0"), Decimal("1.5"))
)
PHASE_SPACE = SPACE.model_copy(update={"min_depths": (1, 1, 2, 1)})


@pytest.fixture
def supernet(workplace: Workplace) -> Artifact:
    """Weights of the space's largest teacher, untrained."""
    largest = SPACE.largest
    return _published(workplace, SHAPE.architecture(largest), SHAPE.neck_width(largest))


def _published(
    workplace: Workplace, architecture: Architecture, neck: int | None = None
) -> Artifact:
    torch.manual_seed(3)
    detector = build_detector(architecture, workplace.common["detector"], len(CLASSES), neck)
    path = workplace.root / "weights.safetensors"
    save_weights(path, detector.state_dict())
    return publish_file(workplace.store, "local/given", path, "safetensors")


def _common(workplace: Workplace) -> dict[str, Any]:
    fields = {name: v for name, v in workplace.common.items() if name != "architecture"}
    return {**fields, "training": training(1)}


def _interrupted(_: Interruption) -> None:
    raise Interrupted


def _run_in_pieces(
    workplace: Workplace, verb: str, request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step an attempt, and an attempt that only scores."""
    uri = workplace.put(request)
    with monkeypatch.context() as patch:
        patch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
        patch.setattr(Interruption, "check", _interrupted)
        assert [jobs.run(verb, uri) for _ in range(STEPS)] == [75] * STEPS
    assert jobs.run(verb, uri) == 0


def test_a_shrinking_phase(
    workplace: Workplace, supernet: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, pieces = (
        PoolPhaseRequest(
            key=f"local/pools/{name}/phase-1",
            phase=1,
            supernet=SHAPE,
            full_space=SPACE,
            space=PHASE_SPACE,
            previous=supernet,
            supernet_weights=supernet,
            bn_images=4,
            **_common(workplace),
        )
        for name in ("alone", "pieces")
    )
    assert jobs.run("pool", workplace.put(alone)) == 0
    _run_in_pieces(workplace, "pool", pieces, monkeypatch)
    expected, found = (workplace.result(r.key, PoolPhaseResult) for r in (alone, pieces))
    assert (expected.attempt, found.attempt) == (1, STEPS + 1)
    assert "loss_distill_feature" in expected.final_loss
    assert found.final_loss == expected.final_loss
    assert found.weights.sha256 == expected.weights.sha256
    assert found.weights.sha256 != supernet.sha256
    assert found.subnets == expected.subnets


def test_a_student_under_a_teacher(
    workplace: Workplace, supernet: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = workplace.common["architecture"]
    weights = _published(workplace, parent)
    alone, pieces = (
        StudentRequest(
            key=f"local/{name}/trials/0001",
            parent=parent,
            parent_weights=weights,
            action=AddLayer(stage=1),
            teacher=SPACE.smallest,
            pool=Pool(supernet=SHAPE, space=SPACE, weights=supernet, bn_images=4, seed=1),
            **_common(workplace),
        )
        for name in ("alone", "pieces")
    )
    assert jobs.run("evaluate", workplace.put(alone)) == 0
    _run_in_pieces(workplace, "evaluate", pieces, monkeypatch)
    expected, found = (workplace.result(r.key, DetectorResult) for r in (alone, pieces))
    assert (expected.attempt, found.attempt) == (1, STEPS + 1)
    assert "loss_distill_feature" in expected.final_loss
    assert found.final_loss == expected.final_loss
    assert found.weights.sha256 == expected.weights.sha256
    assert found.scores == expected.scores
    assert len(expected.loss_by_epoch) == 1
    assert found.loss_by_epoch == expected.loss_by_epoch
