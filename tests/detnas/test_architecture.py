"""What follows from an encoding: strides, projections, residual groups."""

import pytest
from hypothesis import given
from pydantic import ValidationError

from detnas.architecture import Architecture, Block, Family, Place, parse
from tests.detnas import appendix_b
from tests.detnas.strategies import architectures


@given(architectures())
def test_strides_and_projections_follow_from_place_and_width(architecture: Architecture) -> None:
    mobile = architecture.family is Family.MOBILENET_V2
    before = architecture.stem
    for placed in architecture.blocks:
        heads = placed.place.block == 0 and (placed.place.stage > 0 or mobile)
        assert placed.stride == (2 if heads else 1)
        assert placed.inputs == before
        changes = heads or before != placed.block.out
        assert placed.has_identity_shortcut != changes
        assert (placed.projection is not None) == (changes and not mobile)
        if placed.projection is not None:
            projection = placed.projection
            assert (projection.inputs, projection.outputs) == (before, placed.block.out)
            assert projection.stride == placed.stride
        before = placed.block.out


@given(architectures())
def test_convolutions_of_a_block_are_a_chain_with_one_stride(architecture: Architecture) -> None:
    for placed in architecture.blocks:
        chain = placed.convolutions
        assert {c.outputs for c in chain} == set(placed.block.widths)
        assert chain[-1].outputs == placed.block.out
        assert [c.inputs for c in chain] == [placed.inputs, *(c.outputs for c in chain[:-1])]
        assert sum(c.stride - 1 for c in chain) == placed.stride - 1
        assert [c.activated for c in chain] == [True] * (len(chain) - 1) + [False]
        assert all(c.inputs % c.groups == c.outputs % c.groups == 0 for c in chain)


@given(architectures())
def test_residual_groups_partition_the_blocks(architecture: Architecture) -> None:
    groups = architecture.residual_groups
    assert [p for group in groups for p in group.members] == [p.place for p in architecture.blocks]
    for number, group in enumerate(groups):
        head, *others = [architecture.block(place) for place in group.members]
        assert all(member.inputs == group.width for member in others)
        assert {architecture.block(place).block.out for place in group.members} == {group.width}
        assert group.headed_by_stem == head.has_identity_shortcut
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
    assert [group.width for group in groups] == [202, 300, 321, 2031]
    assert groups[3].members == (Place(3, 2), Place(3, 3), Place(3, 4))


def test_blocks_moved_over_a_border_of_stages_stay_in_their_group() -> None:
    moved = parse(appendix_b.R101).residual_groups[2]
    assert moved.members[0] == Place(2, 0)
    assert moved.members[-3:] == (Place(2, 19), Place(3, 0), Place(3, 1))


def test_block_without_a_shortcut_begins_a_group() -> None:
    text = "[(8, 4)-(8, 4)], [(8, 4)-(8, 6)], [(8, 6)], [(8, 6)-(8, 6)]"
    groups = parse(text, Family.MOBILENET_V2).residual_groups
    assert [group.width for group in groups] == [4, 4, 6, 6, 6]
    assert [len(group.members) for group in groups] == [2, 1, 1, 1, 2]
    assert not any(group.headed_by_stem for group in groups)


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


def test_json_has_the_bare_widths_of_a_block_without_groups() -> None:
    text = '{"family":"Bottleneck","stem":8,"stages":[[[4,4,8]],[[4,4,8]],[[4,4,8]],[[4,4,8]]]}'
    assert Architecture.model_validate_json(text).model_dump_json() == text


def test_json_has_the_group_width_of_each_resnext_block() -> None:
    stages = [
        [{"widths": [8, 8, 8], "groupWidth": 4}],
        *[[{"widths": [8, 8, 8], "groupWidth": 2}]] * 3,
    ]
    given = {"family": "ResNeXt", "stem": 8, "stages": stages}
    architecture = Architecture.model_validate(given)
    assert architecture.group_widths == ((4,), (2,), (2,), (2,))
    assert architecture.model_dump(mode="json") == given


@pytest.mark.parametrize(
    ("family", "block", "message"),
    [
        ("ResNeXt", [8, 8, 8], "no groupWidth"),
        ("ResNeXt", {"widths": [8, 8, 8], "groupWidth": 3}, "no multiple of its group width 3"),
        ("ResNeXt", {"widths": [8, 4, 8], "groupWidth": 4}, "inner widths 8 and 4"),
        ("Bottleneck", {"widths": [8, 8, 8], "groupWidth": 4}, "only ResNeXt blocks have one"),
    ],
)
def test_block_with_wrong_groups_is_refused(family: str, block: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture.model_validate({"family": family, "stem": 8, "stages": [[block]] * 4})
