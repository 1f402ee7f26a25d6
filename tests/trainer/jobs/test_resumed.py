"""A pool phase and a student's job that are stopped after every step end as if left alone."""

from typing import Any

import pytest
import torch

from detnas.actions import AddLayer
from detnas.architecture import Architecture
from detnas.records.artifacts import Artifact
from detnas.records.requests import Pool
from detnas.store.artifacts import publish_file
from detnas_trainer.detector import build_detector
from detnas_trainer.weights import save_weights
from tests.trainer.conftest import CLASSES, SHAPE, SPACE, Workplace, stopping

STEPS = 3
TWO_DEEP = SPACE.model_copy(update={"max_depths": (1, 2, 2, 1)})
PHASE_SPACE = TWO_DEEP.model_copy(update={"min_depths": (1, 1, 2, 1)})


@pytest.fixture
def supernet(workplace: Workplace) -> Artifact:
    """Weights of the space's largest teacher, untrained."""
    largest = TWO_DEEP.largest
    return _published(workplace, SHAPE.architecture(largest), SHAPE.neck_width(largest))


def _published(
    workplace: Workplace, architecture: Architecture, neck: int | None = None
) -> Artifact:
    torch.manual_seed(3)
    detector = build_detector(architecture, workplace.common["detector"], len(CLASSES), neck)
    path = workplace.root / "weights.safetensors"
    save_weights(path, detector.state_dict())
    return publish_file(workplace.store, "local/given", path, "safetensors")


def _alone_and_in_pieces(workplace: Workplace, alone: Any) -> tuple[Any, Any]:
    """Results of a job left alone, and of one with an attempt a step and one that only scores."""
    pieces = alone.model_copy(update={"key": alone.key.replace("alone", "pieces")})
    expected = workplace.succeed(alone)
    with stopping():
        assert [workplace.run(pieces) for _ in range(STEPS)] == [75] * STEPS
    found = workplace.succeed(pieces)
    assert (expected.attempt, found.attempt) == (1, STEPS + 1)
    assert "loss_distill_feature" in expected.final_loss
    assert found.final_loss == expected.final_loss
    assert found.weights.sha256 == expected.weights.sha256
    return expected, found


def test_shrinking_phase_stopped_after_every_step_ends_the_same(
    workplace: Workplace, supernet: Artifact
) -> None:
    space = {"full_space": TWO_DEEP, "space": PHASE_SPACE}
    weights = {"previous": supernet, "supernet_weights": supernet}
    request = workplace.pool_request("local/pools/alone/phase-1", phase=1, **space, **weights)
    expected, found = _alone_and_in_pieces(workplace, request)
    assert found.weights.sha256 != supernet.sha256
    assert found.subnets == expected.subnets


def test_student_stopped_after_every_step_ends_the_same(
    workplace: Workplace, supernet: Artifact
) -> None:
    request = workplace.student_request(
        "local/alone/trials/0001",
        parent_weights=_published(workplace, workplace.common["architecture"]),
        action=AddLayer(stage=1),
        teacher=TWO_DEEP.smallest,
        pool=Pool(supernet=SHAPE, space=TWO_DEEP, weights=supernet, bn_images=4, seed=1),
    )
    expected, found = _alone_and_in_pieces(workplace, request)
    assert found.scores == expected.scores
    assert len(expected.loss_by_epoch) == 1
    assert found.loss_by_epoch == expected.loss_by_epoch
