"""Channel pruning: a global ranking by |γ|, and every reader of a channel follows."""

from decimal import Decimal

import pytest
import torch
from torch import Tensor

from detnas.actions import ChannelPruning, Rearrange
from detnas.architecture import Architecture, Block, Place, encode, parse
from detnas_trainer.evolve import InvalidActionError, evolve
from tests.trainer.evolve.students import (
    BASIC,
    BOTTLENECK,
    MOBILENET_V2,
    RESNEXT,
    STUDENTS,
    detector,
    random_state,
    same_outputs,
)

LOOSE = {"minimum_channels": 2}


def prunable(architecture: Architecture) -> int:
    counted = 1 if architecture.traits.tied else -1
    inner = sum(sum(placed.block.widths[:counted]) for placed in architecture.blocks)
    streams = (g for g in architecture.residual_groups if not g.headed_by_stem)
    return inner + sum(group.width for group in streams)


def silence_inner(state: dict[str, Tensor], norm: str, channels: list[int]) -> None:
    for kind in ("weight", "bias"):
        state[f"backbone.{norm}.{kind}"][channels] = 0


def silence_first_width(
    architecture: Architecture, state: dict[str, Tensor], place: Place, channels: list[int]
) -> int:
    """Zero channels of a block's first width, or the groups they are in; return how many."""
    placed = architecture.block(place)
    size = placed.block.group_width or 1
    whole = sorted({c // size * size + i for c in channels for i in range(size)})
    for conv in placed.convolutions[: -1 if architecture.traits.tied else 1]:
        silence_inner(state, f"layer{place.stage + 1}.{place.block}.{conv.norm}", whole)
    return len(whole)


def silence_stream(
    architecture: Architecture, state: dict[str, Tensor], head: Place, channels: list[int]
) -> None:
    """Zero a stream's channels in every block that writes to them."""
    group = next(g for g in architecture.residual_groups if head in g.members)
    for place in group.members:
        placed = architecture.block(place)
        for conv in (placed.convolutions[-1], placed.projection):
            if conv:
                silence_inner(state, f"layer{place.stage + 1}.{place.block}.{conv.norm}", channels)


@pytest.mark.parametrize("parent", STUDENTS.values(), ids=STUDENTS)
def test_pruning_silent_channels_keeps_the_outputs(parent: Architecture) -> None:
    state = random_state(parent)
    silent = silence_first_width(parent, state, Place(0, 1), [0, 3])
    silent += silence_first_width(parent, state, Place(2, 0), [3])
    silence_stream(parent, state, Place(1, 0), [2, 5])
    silence_stream(parent, state, Place(3, 1), [0, 19])
    silent += 4
    fraction = Decimal(silent) / prunable(parent) + Decimal("1e-6")

    evolved = evolve(parent, state, ChannelPruning(fraction=round(fraction, 9), **LOOSE), seed=0)

    assert prunable(evolved.architecture) == prunable(parent) - silent
    assert evolved.architecture.stages[1][0].out == parent.stages[1][0].out - 2
    assert same_outputs((parent, state), (evolved.architecture, evolved.state))


@pytest.mark.parametrize("fraction", ["0.05", "0.2", "0.5"])
@pytest.mark.parametrize("parent", STUDENTS.values(), ids=STUDENTS)
def test_channel_pruning_removes_the_requested_share(parent: Architecture, fraction: str) -> None:
    action = ChannelPruning(fraction=Decimal(fraction), **LOOSE)
    evolved = evolve(parent, random_state(parent), action, seed=0)
    gone = prunable(parent) - prunable(evolved.architecture)
    target = int(Decimal(fraction) * prunable(parent))
    # A width that would meet its neighbour's at a projection takes one channel more, and the last
    # group that goes is whole.
    most = max((block.group_width or 1) for stage in parent.stages for block in stage)
    assert target <= gone <= target + 1 + most
    detector(evolved.architecture, evolved.state)


def test_channel_pruning_removes_the_least_gammas_of_the_backbone() -> None:
    state = random_state(BASIC)
    state["backbone.layer2.1.bn1.weight"][[1, 4, 6]] = torch.tensor([0.01, -0.02, 0.03])
    state["backbone.layer4.0.downsample.1.weight"][9] = -0.005
    action = ChannelPruning(fraction=Decimal("0.0165"), **LOOSE)
    assert int(action.fraction * prunable(BASIC)) == 3
    evolved = evolve(BASIC, state, action, seed=0)
    inner = [i for i in range(13) if i not in (1, 4)]
    stream = [i for i in range(28) if i != 9]
    after = evolved.state
    for name, kept in (
        ("layer2.1.bn1.weight", (inner,)),
        ("layer2.1.bn1.running_mean", (inner,)),
        ("layer2.1.conv1.weight", (inner,)),
        ("layer4.0.downsample.0.weight", (stream,)),
        ("layer4.1.bn2.bias", (stream,)),
    ):
        assert torch.equal(after[f"backbone.{name}"], state[f"backbone.{name}"][kept[0]])
    read = state["backbone.layer2.1.conv2.weight"][:, inner]
    assert torch.equal(after["backbone.layer2.1.conv2.weight"], read)
    assert torch.equal(
        after["neck.lateral_convs.3.conv.weight"],
        state["neck.lateral_convs.3.conv.weight"][:, stream],
    )


def test_stream_headed_by_the_stem_keeps_its_width() -> None:
    state = random_state(BASIC)
    silence_stream(BASIC, state, Place(0, 0), list(range(10)))
    evolved = evolve(BASIC, state, ChannelPruning(fraction=Decimal("0.3"), **LOOSE), seed=0)
    assert [block.out for block in evolved.architecture.stages[0]] == [16, 16]


def test_block_moved_over_a_border_is_pruned_with_its_old_stage() -> None:
    state = random_state(BOTTLENECK)
    moved = evolve(BOTTLENECK, state, Rearrange(source=1, target=2), seed=0)
    parent, state = moved.architecture, dict(moved.state)
    silence_stream(parent, state, Place(1, 0), [2, 5, 7])
    fraction = Decimal(3) / prunable(parent) + Decimal("1e-6")

    evolved = evolve(parent, state, ChannelPruning(fraction=round(fraction, 9), **LOOSE), seed=0)

    kept = [channel for channel in range(24) if channel not in {2, 5, 7}]
    assert evolved.architecture.stages[1][-1].out == evolved.architecture.stages[2][0].out == 21
    name = "backbone.layer3.0.downsample.0.weight"
    assert torch.equal(evolved.state[name], state[name][kept][:, kept])
    assert same_outputs((parent, state), (evolved.architecture, evolved.state))


def test_streams_do_not_become_equally_wide_at_a_trained_projection_of_stride_2() -> None:
    parent = parse("[(9, 16)-(10, 20)], [(12, 21)], [(14, 24)], [(16, 28)]", stem=16)
    state = random_state(parent)
    silence_stream(parent, state, Place(1, 0), [3])
    evolved = evolve(parent, state, ChannelPruning(fraction=Decimal("0.001")), seed=0)
    assert encode(evolved.architecture).startswith("[(9, 16)-(10, 20)], [(12, 19)]")


def test_groups_of_a_resnext_rank_by_the_mean_of_both_norms() -> None:
    state = random_state(RESNEXT)
    names = [f"backbone.layer2.1.bn{number}" for number in (1, 2)]
    # The first group has the least single weights, the second the least mean.
    state[f"{names[0]}.weight"] = torch.tensor([0.001, *[1.2] * 7, *[-0.2] * 8])
    state[f"{names[1]}.weight"] = torch.tensor([0.001, *[1.2] * 7, *[0.2] * 8])
    fraction = Decimal(8) / prunable(RESNEXT) + Decimal("1e-6")
    evolved = evolve(RESNEXT, state, ChannelPruning(fraction=round(fraction, 9), **LOOSE), seed=0)
    assert evolved.architecture.stages[1][1] == Block(widths=(8, 8, 24), group_width=8)
    for part in ("bn1.weight", "bn2.running_var", "conv1.weight", "conv2.weight"):
        name = f"backbone.layer2.1.{part}"
        assert torch.equal(evolved.state[name], state[name][:8])


def test_one_group_stays_in_every_resnext_block() -> None:
    action = ChannelPruning(fraction=Decimal("0.9"))
    evolved = evolve(RESNEXT, random_state(RESNEXT), action, seed=0)
    blocks = [placed.block for placed in evolved.architecture.blocks]
    assert all(block.widths[0] == block.group_width for block in blocks)


def test_mobilenetv2_stream_ranks_by_the_last_norm_of_its_head() -> None:
    state = random_state(MOBILENET_V2)
    state["backbone.layer1.0.bn3.weight"][[1, 6]] = torch.tensor([0.01, -0.02])
    action = ChannelPruning(fraction=Decimal("0.009"), **LOOSE)
    assert int(action.fraction * prunable(MOBILENET_V2)) == 2
    evolved = evolve(MOBILENET_V2, state, action, seed=0)
    kept = [channel for channel in range(8) if channel not in {1, 6}]
    assert [block.out for block in evolved.architecture.stages[0]] == [6, 6, 6]
    name = "backbone.layer1.2.bn3.weight"
    assert torch.equal(evolved.state[name], state[name][kept])


def test_minimum_stays_in_every_convolution() -> None:
    parent, state, action = (
        BOTTLENECK,
        random_state(BOTTLENECK),
        ChannelPruning(fraction=Decimal("0.9"), minimum_channels=8),
    )
    evolved = evolve(parent, state, action, seed=0)
    widths = [w for placed in evolved.architecture.blocks for w in placed.block.widths]
    assert min(widths) == 8
    with pytest.raises(InvalidActionError, match="keep 8"):
        evolve(evolved.architecture, evolved.state, action, seed=0)


def test_widths_follow_the_divisor() -> None:
    action = ChannelPruning(fraction=Decimal("0.3"), minimum_channels=4, channel_divisor=4)
    evolved = evolve(BOTTLENECK, random_state(BOTTLENECK), action, seed=0)
    pairs = [
        (before, after)
        for old, new in zip(BOTTLENECK.blocks, evolved.architecture.blocks, strict=True)
        for before, after in zip(old.block.widths, new.block.widths, strict=True)
    ]
    changed = [after for before, after in pairs if before != after]
    assert changed
    assert all(after % 4 == 0 for after in changed)
    detector(evolved.architecture, evolved.state)


EQUALISED = parse("[(9, 16)-(10, 20)-(9, 21)], [(12, 20)], [(14, 24)], [(16, 28)]", stem=16)


def test_widths_that_would_become_equal_at_a_projection_lose_one_more() -> None:
    state = random_state(EQUALISED)
    silence_stream(EQUALISED, state, Place(0, 2), [3])
    evolved = evolve(EQUALISED, state, ChannelPruning(fraction=Decimal("0.001")), seed=0)
    # The stem's stream has 16, the next 20; 21 would fall to 20, so two of it go.
    assert encode(evolved.architecture).startswith("[(9, 16)-(10, 20)-(9, 19)]")
    assert "backbone.layer1.2.downsample.0.weight" in evolved.state
    detector(evolved.architecture, evolved.state)


def test_border_that_cannot_be_kept_apart_keeps_one_channel() -> None:
    parent = parse("[(8, 8)-(9, 9)], [(12, 20)], [(14, 24)], [(16, 28)]", stem=8)
    state = random_state(parent)
    silence_stream(parent, state, Place(0, 1), [3])
    action = ChannelPruning(fraction=Decimal("0.001"), minimum_channels=8)
    evolved = evolve(parent, state, action, seed=0)
    assert evolved.architecture.stages[0] == parent.stages[0]
    assert prunable(evolved.architecture) == prunable(parent) - 1


def test_parents_tensors_are_not_modified() -> None:
    state = random_state(BOTTLENECK)
    kept = {name: value.clone() for name, value in state.items()}
    evolve(BOTTLENECK, state, ChannelPruning(fraction=Decimal("0.3")), seed=0)
    assert all(torch.equal(kept[name], value) for name, value in state.items())


def test_equal_gammas_are_removed_in_order() -> None:
    state = random_state(BASIC)
    for name in state:
        if name.endswith(("bn1.weight", "downsample.1.weight")):
            state[name].fill_(1.0)
    action = ChannelPruning(fraction=Decimal("0.1"), **LOOSE)
    first, second = (evolve(BASIC, state, action, seed) for seed in (1, 2))
    assert first.architecture == second.architecture
    assert all(torch.equal(first.state[n], v) for n, v in second.state.items())


def test_weights_that_are_not_finite_are_an_error() -> None:
    state = random_state(BASIC)
    state["backbone.layer3.1.bn1.weight"][2] = torch.nan
    with pytest.raises(InvalidActionError, match="not finite"):
        evolve(BASIC, state, ChannelPruning(), seed=0)
