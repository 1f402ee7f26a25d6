"""What follows from an encoding: strides, projections, residual groups."""

import pytest
from hypothesis import given
from pydantic import ValidationError

from detnas.architecture import Architecture, Block, Family, Place, parse
from tests.detnas import appendix_b
from tests.detnas.strategies import architectures


@given(architectures())
def test_strides_and_projections_follow_from_place_and_width(architecture: Architecture) -> None:
    before = architecture.stem
    for placed in architecture.blocks:
        heads = placed.place.stage > 0 and placed.place.block == 0
        assert placed.stride == (2 if heads else 1)
        assert placed.inputs == before
        changes = heads or before != placed.block.out
        assert (placed.projection is not None) == changes
        if placed.projection is not None:
            projection = placed.projection
            assert (projection.inputs, projection.outputs) == (before, placed.block.out)
            assert projection.stride == placed.stride
        before = placed.block.out


@given(architectures())
def test_convolutions_of_a_block_are_a_chain_with_one_stride(architecture: Architecture) -> None:
    for placed in architecture.blocks:
        chain = placed.convolutions
        assert tuple(c.outputs for c in chain) == placed.block.widths
        assert [c.inputs for c in chain] == [placed.inputs, *(c.outputs for c in chain[:-1])]
        assert max(c.stride for c in chain) == placed.stride
        assert sum(c.stride - 1 for c in chain) == placed.stride - 1
        assert [c.activated for c in chain] == [True] * (len(chain) - 1) + [False]


@given(architectures())
def test_residual_groups_partition_the_blocks(architecture: Architecture) -> None:
    groups = architecture.residual_groups
    assert [p for group in groups for p in group.members] == [p.place for p in architecture.blocks]
    for number, group in enumerate(groups):
        head, *others = [architecture.block(place) for place in group.members]
        assert all(member.projection is None for member in others)
        assert {architecture.block(place).block.out for place in group.members} == {group.width}
        assert group.headed_by_stem == (head.projection is None)
        assert not group.headed_by_stem or (number == 0 and group.width == architecture.stem)


@given(architectures())
def test_block_is_found_by_its_place(architecture: Architecture) -> None:
    assert [architecture.block(p.place) for p in architecture.blocks] == list(architecture.blocks)


def test_first_group_of_r18_is_headed_by_the_stem() -> None:
    groups = parse(appendix_b.R18).residual_groups
    assert [group.headed_by_stem for group in groups] == [True, False, False, False]
    assert [group.width for group in groups] == [64, 128, 256, 512]
    assert groups[0].members == (Place(0, 0),)


def test_groups_end_at_a_projection_within_a_stage() -> None:
    groups = parse(appendix_b.R101).residual_groups
    assert [group.width for group in groups] == [202, 300, 321, 321, 2031]
    assert groups[3].members == (Place(3, 0), Place(3, 1))
    assert groups[4].members == (Place(3, 2), Place(3, 3), Place(3, 4))


def test_outputs_and_depths_are_the_stages_own() -> None:
    architecture = parse(appendix_b.R50)
    assert architecture.stage_outputs == (205, 314, 591, 1856)
    assert architecture.depths == (3, 4, 6, 3)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([[[8, 8]]] * 3, "3 given; a backbone has 4"),
        ([[[8, 8]], [], [[8, 8]], [[8, 8]]], "stage 2 is empty"),
        ([[[8, 8]], [[8, 8], [8, 8, 8]], [[8, 8]], [[8, 8]]], "stage 2, block 2 has 3 widths"),
        ([[[8, 0]]] * 4, "greater than or equal to 1"),
    ],
)
def test_impossible_backbone_is_refused(stages: list[list[list[int]]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture.model_validate({"family": "Basic", "stem": 8, "stages": stages})


def test_architecture_is_a_value() -> None:
    block = Block(widths=(8, 8))
    one = Architecture(family=Family.BASIC, stem=8, stages=((block,),) * 4)
    other = Architecture(family=Family.BASIC, stem=8, stages=((block,),) * 4)
    assert one.blocks
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(ValidationError):
        one.stem = 16  # type: ignore[misc]


@pytest.mark.parametrize("place", [Place(0, 2), Place(3, 2), Place(4, 0)])
def test_place_beyond_its_stage_is_none(place: Place) -> None:
    with pytest.raises(IndexError):
        parse("[(8, 8)-(8, 8)], [(8, 8)-(8, 8)], [(8, 8)], [(8, 8)-(8, 8)]").block(place)
