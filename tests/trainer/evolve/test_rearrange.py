"""Rearrange: blocks cross stage borders; projections and laterals follow."""

import pytest
import torch

from detnas.actions import Rearrange
from detnas.architecture import Architecture, Place, encode, parse
from detnas_trainer.evolve import InvalidActionError, evolve
from tests.trainer.evolve.students import (
    BASIC,
    BOTTLENECK,
    MOVED,
    detector,
    random_state,
    same_outputs,
)


@pytest.mark.parametrize("stage", range(3))
@pytest.mark.parametrize("parent", [BASIC, BOTTLENECK], ids=["basic", "bottleneck"])
def test_moving_a_last_block_on_and_straight_back_keeps_the_outputs(
    parent: Architecture, stage: int
) -> None:
    state = random_state(parent)
    moved = evolve(parent, state, Rearrange(source=stage, target=stage + 1), seed=0)
    assert not same_outputs((parent, state), (moved.architecture, moved.state))
    back = evolve(
        moved.architecture, moved.state, Rearrange(source=stage + 1, target=stage), seed=1
    )
    assert back.architecture == parent
    assert moved.notes == back.notes == ()
    assert same_outputs((parent, state), (back.architecture, back.state))


def test_a_moved_block_gets_a_subsampled_identity_as_projection() -> None:
    state = random_state(BASIC)
    evolved = evolve(BASIC, state, Rearrange(source=1, target=2), seed=0)
    model = detector(evolved.architecture, evolved.state).eval()
    stream = torch.randn(1, 20, 8, 8)
    projected = model.backbone.layer3[0].downsample(stream)
    torch.testing.assert_close(projected, stream[:, :, ::2, ::2])
    assert evolved.origin[Place(2, 0)] == Place(1, 2)


def test_the_old_head_keeps_its_weights_at_stride_one() -> None:
    state = random_state(BASIC)
    evolved = evolve(BASIC, state, Rearrange(source=1, target=2), seed=0)
    for part in ("conv1.weight", "bn2.running_var", "downsample.0.weight", "downsample.1.bias"):
        inherited = evolved.state[f"backbone.layer3.1.{part}"]
        assert torch.equal(inherited, state[f"backbone.layer3.0.{part}"])
    head = detector(evolved.architecture, evolved.state).backbone.layer3[1]
    assert head.conv1.stride == head.downsample[0].stride == (1, 1)


def test_moving_a_projected_head_back_starts_one_lateral_afresh() -> None:
    state = random_state(BASIC)
    evolved = evolve(BASIC, state, Rearrange(source=2, target=1), seed=0)
    assert encode(evolved.architecture).split("], [")[1].endswith("(14, 24)")
    assert len(evolved.notes) == 1
    assert evolved.notes[0].startswith("lateral 2 initialised afresh")
    weights = [f"neck.lateral_convs.{i}.conv.weight" for i in range(4)]
    assert evolved.state[weights[1]].shape == (8, 24, 1, 1)
    assert evolved.state["neck.lateral_convs.1.conv.bias"].abs().sum() == 0
    for untouched in (weights[0], weights[2], weights[3]):
        assert torch.equal(evolved.state[untouched], state[untouched])


def test_a_lateral_whose_stream_changes_at_equal_width_starts_afresh() -> None:
    parent = parse("[(4, 8)], [(4, 12)], [(4, 8)-(4, 12)], [(4, 12)]", stem=8)
    state = random_state(parent)
    evolved = evolve(parent, state, Rearrange(source=2, target=3), seed=0)
    assert [note.split(" i")[0] for note in evolved.notes] == ["lateral 3", "lateral 4"]
    assert "backbone.layer4.1.downsample.0.weight" not in evolved.state


def test_a_projection_no_longer_asked_for_is_dropped() -> None:
    parent = parse("[(4, 8)], [(4, 8)-(5, 8)], [(4, 12)], [(4, 16)]", stem=8)
    evolved = evolve(parent, random_state(parent), Rearrange(source=1, target=0), seed=0)
    assert "backbone.layer1.1.downsample.0.weight" not in evolved.state
    assert "backbone.layer2.0.downsample.0.weight" in evolved.state
    detector(evolved.architecture, evolved.state)


def test_fresh_laterals_follow_the_seed() -> None:
    state = random_state(BASIC)
    name = "neck.lateral_convs.1.conv.weight"
    fresh = [
        evolve(BASIC, state, Rearrange(source=2, target=1), seed).state[name] for seed in (3, 3, 4)
    ]
    assert torch.equal(fresh[0], fresh[1])
    assert not torch.equal(fresh[0], fresh[2])


@pytest.mark.parametrize(
    ("source", "target", "message"), [(2, 3, "has one block"), (0, 2, "neighbouring")]
)
def test_impossible_moves_are_refused(source: int, target: int, message: str) -> None:
    with pytest.raises(InvalidActionError, match=message):
        evolve(MOVED, random_state(MOVED), Rearrange(source=source, target=target), seed=0)
