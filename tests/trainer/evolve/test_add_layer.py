"""Add-layer: an identity at the end of a stage."""

import pytest
import torch

from detnas.actions import AddLayer
from detnas.architecture import Architecture, Place
from detnas_trainer.evolve import evolve
from tests.trainer.evolve.students import (
    BASIC,
    BOTTLENECK,
    MOVED,
    detector,
    random_state,
    same_outputs,
    sample,
)


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("parent", [BASIC, BOTTLENECK, MOVED], ids=["basic", "bottleneck", "moved"])
def test_the_detectors_outputs_stay(parent: Architecture, stage: int) -> None:
    state = random_state(parent)
    evolved = evolve(parent, state, AddLayer(stage=stage), seed=0)
    assert evolved.architecture.depths[stage] == parent.depths[stage] + 1
    assert same_outputs((parent, state), (evolved.architecture, evolved.state))
    assert evolved.notes == ()
    assert evolved.removed == ()


def test_the_new_block_copies_the_last_ones_inner_widths() -> None:
    evolved = evolve(BOTTLENECK, random_state(BOTTLENECK), AddLayer(stage=0), seed=0)
    assert evolved.architecture.stages[0][-1].widths == (10, 9, 16)
    assert evolved.origin[Place(0, 3)] is None
    assert evolved.origin[Place(0, 2)] == Place(0, 2)


def test_the_new_block_learns() -> None:
    evolved = evolve(BASIC, random_state(BASIC), AddLayer(stage=1), seed=0)
    model = detector(evolved.architecture, evolved.state).train()
    losses = model(torch.randn(1, 3, 64, 64), [sample()], mode="loss")
    model.parse_losses(losses)[0].backward()
    assert model.backbone.layer2[3].bn2.weight.grad.abs().sum() > 0
