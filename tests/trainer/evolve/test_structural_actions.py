"""Add-layer, layer pruning and rearrange: what stays, what moves, what is refused."""

import pytest
import torch
from torch import Tensor

from detnas.actions import AddLayer, LayerPruning, Rearrange
from detnas.architecture import Architecture, Place, encode, parse
from detnas_trainer.evolve import InvalidActionError, evolve
from detnas_trainer.evolve.layer_pruning import layer_ranks
from tests.trainer.evolve.students import (
    BASIC,
    BOTTLENECK,
    MOVED,
    STUDENTS,
    detector,
    random_state,
    same_outputs,
)
from tests.trainer.samples import sample


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("parent", STUDENTS.values(), ids=STUDENTS)
def test_add_layer_keeps_the_detectors_outputs(parent: Architecture, stage: int) -> None:
    state = random_state(parent)
    evolved = evolve(parent, state, AddLayer(stage=stage), seed=0)
    assert evolved.architecture.depths[stage] == parent.depths[stage] + 1
    assert same_outputs((parent, state), (evolved.architecture, evolved.state))
    assert evolved.notes == ()
    assert evolved.removed == ()


def test_add_layer_copies_the_last_blocks_inner_widths() -> None:
    evolved = evolve(BOTTLENECK, random_state(BOTTLENECK), AddLayer(stage=0), seed=0)
    assert evolved.architecture.stages[0][-1].widths == (10, 9, 16)
    assert evolved.origin[Place(0, 3)] is None
    assert evolved.origin[Place(0, 2)] == Place(0, 2)


def test_added_block_learns() -> None:
    evolved = evolve(BASIC, random_state(BASIC), AddLayer(stage=1), seed=0)
    model = detector(evolved.architecture, evolved.state).train()
    losses = model(torch.randn(1, 3, 64, 64), [sample()], mode="loss")
    model.parse_losses(losses)[0].backward()
    assert model.backbone.layer2[3].bn2.weight.grad.abs().sum() > 0


def scaled(state: dict[str, Tensor], block: str, factor: float) -> dict[str, Tensor]:
    return {
        name: value * factor
        if name.startswith(f"backbone.{block}.") and value.is_floating_point()
        else value
        for name, value in state.items()
    }


@pytest.mark.parametrize(("block", "place"), [("layer1.1", Place(0, 1)), ("layer2.2", Place(1, 2))])
def test_layer_pruning_removes_the_least_block(block: str, place: Place) -> None:
    state = scaled(random_state(BASIC), block, 1e-3)
    evolved = evolve(BASIC, state, LayerPruning(), seed=0)
    assert evolved.removed == (place,)
    assert evolved.architecture.depths[place.stage] == BASIC.depths[place.stage] - 1


def test_statistics_do_not_count_towards_the_norm() -> None:
    state = scaled(random_state(BASIC), "layer2.2", 1e-3)
    state["backbone.layer2.2.bn1.running_mean"] += 1e6
    assert evolve(BASIC, state, LayerPruning(), seed=0).removed == (Place(1, 2),)


def test_sum_and_mean_differ_where_a_block_is_small_but_dense() -> None:
    parent = parse("[(32, 16)-(32, 16)], [(4, 16)-(2, 16)], [(4, 16)], [(4, 16)]", stem=12)
    state = random_state(parent)
    for name in state:
        if name.startswith("backbone.layer") and name.endswith("weight"):
            state[name] = torch.full_like(state[name], 1.0 if "layer2" in name else 0.5)
    removed = [
        evolve(parent, state, LayerPruning(norm=norm), seed=0).removed for norm in ("Sum", "Mean")
    ]
    assert removed == [(Place(1, 1),), (Place(0, 1),)]


def test_rank_within_the_stage_is_the_share_of_the_stages_mean() -> None:
    state = random_state(BASIC)
    sums = layer_ranks(BASIC, state, "Sum")
    ranks = layer_ranks(BASIC, state, "WithinStage")
    assert ranks.keys() == sums.keys()
    second = (sums[Place(1, 1)], sums[Place(1, 2)])
    assert ranks[Place(1, 1)] == pytest.approx(2 * second[0] / sum(second))
    assert ranks[Place(3, 1)] == 1.0


def test_least_last_gamma_is_removed_whatever_the_size() -> None:
    state = scaled(random_state(BASIC), "layer2.2", 1e-3)
    state["backbone.layer2.2.bn2.weight"].fill_(5.0)
    state["backbone.layer4.1.bn2.weight"].fill_(-0.01)
    evolved = evolve(BASIC, state, LayerPruning(norm="LastGamma"), seed=0)
    assert evolved.removed == (Place(3, 1),)


def test_layer_pruning_keeps_a_protected_block() -> None:
    state = scaled(scaled(random_state(BASIC), "layer2.2", 1e-3), "layer3.1", 1e-2)
    action = LayerPruning(protected=(Place(1, 2),))
    assert evolve(BASIC, state, action, seed=0).removed == (Place(2, 1),)


def test_layer_pruning_keeps_a_block_with_a_projection() -> None:
    state = scaled(random_state(MOVED), "layer2.1", 0.0)
    assert evolve(MOVED, state, LayerPruning(), seed=0).removed != (Place(1, 1),)


def test_removing_a_block_that_adds_nothing_keeps_the_outputs() -> None:
    state = random_state(BOTTLENECK)
    for kind in ("weight", "bias"):
        state[f"backbone.layer1.1.bn3.{kind}"].zero_()
    state = scaled(state, "layer1.1", 1e-3)
    evolved = evolve(BOTTLENECK, state, LayerPruning(), seed=0)
    assert evolved.removed == (Place(0, 1),)
    assert evolved.origin[Place(0, 1)] == Place(0, 2)
    assert same_outputs((BOTTLENECK, state), (evolved.architecture, evolved.state))


def test_layer_pruning_without_a_prunable_block_is_an_error() -> None:
    parent = parse("[(4, 8)], [(4, 8)], [(4, 8)], [(4, 8)]", stem=8)
    with pytest.raises(InvalidActionError, match="every block has a projection"):
        evolve(parent, random_state(parent), LayerPruning(), seed=0)


def test_weights_that_are_not_finite_are_an_error() -> None:
    state = random_state(BASIC)
    state["backbone.layer2.1.conv1.weight"][0, 0, 0, 0] = torch.nan
    with pytest.raises(InvalidActionError, match="not finite"):
        evolve(BASIC, state, LayerPruning(), seed=0)


@pytest.mark.parametrize("stage", range(3))
@pytest.mark.parametrize("parent", [BASIC, BOTTLENECK], ids=["basic", "bottleneck"])
def test_rearrange_there_and_back_keeps_the_outputs(parent: Architecture, stage: int) -> None:
    state = random_state(parent)
    moved = evolve(parent, state, Rearrange(source=stage, target=stage + 1), seed=0)
    assert not same_outputs((parent, state), (moved.architecture, moved.state))
    back = evolve(
        moved.architecture, moved.state, Rearrange(source=stage + 1, target=stage), seed=1
    )
    assert back.architecture == parent
    assert moved.notes == back.notes == ()
    assert same_outputs((parent, state), (back.architecture, back.state))


def test_moved_block_gets_a_subsampled_identity_as_projection() -> None:
    state = random_state(BASIC)
    evolved = evolve(BASIC, state, Rearrange(source=1, target=2), seed=0)
    model = detector(evolved.architecture, evolved.state).eval()
    stream = torch.randn(1, 20, 8, 8)
    projected = model.backbone.layer3[0].downsample(stream)
    torch.testing.assert_close(projected, stream[:, :, ::2, ::2])
    assert evolved.origin[Place(2, 0)] == Place(1, 2)


def test_old_head_keeps_its_weights_at_stride_one() -> None:
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


def test_lateral_of_a_stream_tied_over_a_border_is_kept_without_its_projection() -> None:
    parent = parse("[(4, 8)], [(4, 12)], [(4, 8)-(4, 12)], [(4, 12)]", stem=8)
    state = random_state(parent)
    evolved = evolve(parent, state, Rearrange(source=2, target=3), seed=0)
    assert [note.split(" i")[0] for note in evolved.notes] == ["lateral 3"]
    assert "backbone.layer4.1.downsample.0.weight" not in evolved.state


def test_projection_that_is_no_longer_needed_is_dropped() -> None:
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
