"""Actions along random lineages: always legal, and with the structure they say."""

from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.actions import (
    PROTECTED_STEPS,
    ActionKind,
    ActionOptions,
    AddedBlock,
    AddLayer,
    ChannelPruning,
    LayerPruning,
    Morphism,
    Rearrange,
    add_layer,
    age,
    legal_actions,
    prunable_places,
    prune_layer,
    rearrange,
)
from detnas.architecture import Architecture, Block, Family, Place, encode, parse
from detnas.errors import UserError
from tests.detnas import appendix_b
from tests.detnas.strategies import architectures

OPTIONS = ActionOptions()


def _step(architecture: Architecture, added: tuple[AddedBlock, ...], random: Random) -> Morphism:
    """One random structural action of those that are legal."""
    kinds = legal_actions(architecture, added, OPTIONS)
    kinds.pop(ActionKind.CHANNEL_PRUNING, None)
    action = random.choice(kinds[random.choice(list(kinds))])
    match action:
        case LayerPruning():
            return prune_layer(
                architecture, random.choice(prunable_places(architecture, action.protected))
            )
        case AddLayer():
            return add_layer(architecture, action.stage)
        case Rearrange():
            return rearrange(architecture, action.source, action.target)
        case _:
            pytest.fail(f"{action} was not expected")


def _places(architecture: Architecture) -> list[Place]:
    return [placed.place for placed in architecture.blocks]


@settings(max_examples=60)
@given(architectures(), st.randoms(use_true_random=False))
def test_thirty_legal_actions_keep_a_backbone_legal_and_accounted_for(
    architecture: Architecture, random: Random
) -> None:
    added: tuple[AddedBlock, ...] = ()
    births: dict[Place, int] = {}
    for number in range(30):
        morphism = _step(architecture, added, random)
        new, origin = morphism.architecture, morphism.origin
        assert list(origin) == _places(new)
        kept = [old for old in origin.values() if old is not None]
        assert len(set(kept)) == len(kept)
        assert all(
            new.block(place).block == architecture.block(old).block
            for place, old in origin.items()
            if old is not None
        )
        assert min(new.depths) >= 1
        text = encode(new)
        assert parse(text, new.family, new.stem, group_widths=new.group_widths) == new
        births = {
            place: number if old is None else births[old]
            for place, old in origin.items()
            if old is None or old in births
        }
        added = age(added, origin, PROTECTED_STEPS)
        young = {p: number - born for p, born in births.items() if number - born < PROTECTED_STEPS}
        assert {block.place: block.age for block in added} == young
        architecture = new


@given(architectures(), st.integers(0, 3))
def test_add_layer_appends_a_copy_whose_shortcut_is_the_identity(
    architecture: Architecture, stage: int
) -> None:
    morphism = add_layer(architecture, stage)
    new = morphism.architecture
    fresh = Place(stage, architecture.depths[stage])
    assert new.stages[stage] == (*architecture.stages[stage], architecture.stages[stage][-1])
    assert new.block(fresh).has_identity_shortcut
    assert [place for place, old in morphism.origin.items() if old is None] == [fresh]
    assert new.stage_outputs == architecture.stage_outputs


@given(architectures())
def test_layer_pruning_removes_one_block_and_changes_no_other(architecture: Architecture) -> None:
    for place in prunable_places(architecture):
        new = prune_layer(architecture, place).architecture
        assert sum(new.depths) == sum(architecture.depths) - 1
        before = [p for p in architecture.blocks if p.place != place]
        assert [(p.block, p.inputs, p.stride) for p in new.blocks] == [
            (p.block, p.inputs, p.stride) for p in before
        ]


@given(architectures())
def test_layer_pruning_refuses_blocks_that_must_stay(architecture: Architecture) -> None:
    prunable = prunable_places(architecture)
    for placed in architecture.blocks:
        alone = architecture.depths[placed.place.stage] == 1
        assert (placed.place in prunable) == (placed.has_identity_shortcut and not alone)
        if placed.place not in prunable:
            shortcut = "has a projection" if placed.projection else "has no shortcut"
            with pytest.raises(UserError, match="has one block" if alone else shortcut):
                prune_layer(architecture, placed.place)


@given(architectures())
def test_rearrange_moves_one_block_across_a_border(architecture: Architecture) -> None:
    legal = legal_actions(architecture, (), OPTIONS).get(ActionKind.REARRANGE, ())
    moves = [action for action in legal if isinstance(action, Rearrange)]
    assert {move.source for move in moves} == {
        stage for stage, depth in enumerate(architecture.depths) if depth > 1
    }
    for move in moves:
        new = rearrange(architecture, move.source, move.target).architecture
        change = [
            after - before for before, after in zip(architecture.depths, new.depths, strict=True)
        ]
        assert (change[move.source], change[move.target]) == (-1, 1)
        assert Counter(p.block for p in new.blocks) == Counter(p.block for p in architecture.blocks)
        # Blocks keep their order: the border moves, they do not.
        assert [p.block for p in new.blocks] == [p.block for p in architecture.blocks]
        assert rearrange(new, move.target, move.source).architecture == architecture


@pytest.mark.parametrize(("source", "target"), [(0, 2), (1, 1), (3, 4), (0, -1)])
def test_rearrange_refuses_stages_that_are_no_neighbours(source: int, target: int) -> None:
    with pytest.raises(UserError, match="a block moves to a neighbouring stage"):
        rearrange(parse(appendix_b.R50), source, target)


def test_rearrange_leaves_a_stage_its_last_block() -> None:
    with pytest.raises(UserError, match="stage 1 has one block"):
        rearrange(parse(appendix_b.R18), 0, 1)


@given(architectures())
def test_add_layer_is_always_legal_and_no_kind_is_empty(architecture: Architecture) -> None:
    kinds = legal_actions(architecture, (), OPTIONS)
    assert len(kinds[ActionKind.ADD_LAYER]) == 4
    assert all(kinds.values())


def test_block_is_protected_for_three_steps_after_it_was_added() -> None:
    morphism = add_layer(parse(appendix_b.R50), 2)
    architecture, fresh = morphism.architecture, Place(2, 6)
    still: dict[Place, Place | None] = {place: place for place in _places(architecture)}
    added = age((), morphism.origin, PROTECTED_STEPS)
    protected = []
    for _ in range(5):
        (action,) = legal_actions(architecture, added, OPTIONS)[ActionKind.LAYER_PRUNING]
        assert isinstance(action, LayerPruning)
        protected.append(fresh in action.protected)
        assert (fresh in prunable_places(architecture, action.protected)) != protected[-1]
        added = age(added, still, PROTECTED_STEPS)
    assert protected == [True, True, True, False, False]


def test_protection_follows_a_block_that_moves() -> None:
    first = add_layer(parse(appendix_b.R50), 1)
    added = age((), first.origin, PROTECTED_STEPS)
    second = rearrange(first.architecture, 1, 2)
    assert age(added, second.origin, PROTECTED_STEPS) == (AddedBlock(place=Place(2, 0), age=1),)


def test_layer_pruning_is_illegal_where_all_it_could_remove_is_protected() -> None:
    base = parse("[(8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]")
    morphism = add_layer(base, 3)
    added = age((), morphism.origin, PROTECTED_STEPS)
    assert ActionKind.LAYER_PRUNING in legal_actions(morphism.architecture, (), OPTIONS)
    assert ActionKind.LAYER_PRUNING not in legal_actions(morphism.architecture, added, OPTIONS)


def test_channel_pruning_is_illegal_once_every_width_is_least() -> None:
    thin = Architecture(family=Family.BASIC, stem=64, stages=((Block(widths=(8, 32)),),) * 4)
    narrow = Architecture(family=Family.BASIC, stem=8, stages=((Block(widths=(8, 8)),),) * 4)
    assert ActionKind.CHANNEL_PRUNING in legal_actions(thin, (), OPTIONS)
    assert ActionKind.CHANNEL_PRUNING not in legal_actions(narrow, (), OPTIONS)
    headed_by_stem = Block(widths=(8, 64))
    stays = Architecture(
        family=Family.BASIC, stem=64, stages=((headed_by_stem,), *narrow.stages[1:])
    )
    assert stays.residual_groups[0].headed_by_stem
    assert ActionKind.CHANNEL_PRUNING not in legal_actions(stays, (), OPTIONS)


def test_channel_pruning_is_legal_while_a_block_has_two_groups() -> None:
    narrow = Block(widths=(4, 4, 8), group_width=4)
    wide = Block(widths=(8, 8, 8), group_width=4)
    stages = ((narrow,),) * 4
    least = Architecture(family=Family.RESNEXT, stem=8, stages=stages)
    more = Architecture(family=Family.RESNEXT, stem=8, stages=((wide,), *stages[1:]))
    assert ActionKind.CHANNEL_PRUNING not in legal_actions(least, (), OPTIONS)
    assert ActionKind.CHANNEL_PRUNING in legal_actions(more, (), OPTIONS)


def test_actions_carry_the_options() -> None:
    options = ActionOptions(
        channel_fraction=Decimal("0.1"), minimum_channels=16, channel_divisor=8, layer_norm="Mean"
    )
    kinds = legal_actions(parse(appendix_b.R50), (), options)
    assert kinds[ActionKind.CHANNEL_PRUNING] == (
        ChannelPruning(fraction=Decimal("0.1"), minimum_channels=16, channel_divisor=8),
    )
    assert kinds[ActionKind.LAYER_PRUNING] == (LayerPruning(norm="Mean"),)
