"""The space of teachers, its size, and what one mutation changes."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detnas.architecture import encode
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from tests.detnas.strategies import spaces, teachers

PAPER = TeacherSpace()


def _differences(one: Teacher, other: Teacher) -> list[int]:
    pairs = zip((*one.depths, *one.widths), (*other.depths, *other.widths), strict=True)
    return [slot for slot, (a, b) in enumerate(pairs) if a != b]


def test_papers_space_has_roughly_765000_teachers() -> None:
    assert PAPER.count(resolutions=4) == 264 * 3**6 * 4 == 769_824


def test_count_is_the_number_of_different_teachers() -> None:
    space = TeacherSpace.model_validate(
        {"min_depths": [1, 1, 2, 1], "max_depths": [2, 1, 3, 1], "widths": ["1.0", "1.5"]}
    )
    random = Random(0)
    seen = {space.sample(random) for _ in range(5000)}
    assert len(seen) == space.count() == 4 * 2**6


@given(spaces(), st.randoms(use_true_random=False))
def test_samples_and_bounds_are_in_the_space(space: TeacherSpace, random: Random) -> None:
    for teacher in (space.sample(random), space.largest, space.smallest):
        assert space.contains(teacher)


@given(st.data(), spaces())
def test_mutation_changes_one_slot_by_at_most_its_reach(
    data: st.DataObject, space: TeacherSpace
) -> None:
    teacher = data.draw(teachers(space))
    mutants = [mutant for slot in space.mutations(teacher) for mutant in slot]
    if space.count() == 1:
        assert not mutants
        return
    mutant = data.draw(st.sampled_from(mutants))
    assert space.contains(mutant)
    (slot,) = _differences(teacher, mutant)
    if slot < 4:
        span = space.max_depths[slot] - space.min_depths[slot]
        assert abs(mutant.depths[slot] - teacher.depths[slot]) <= max(1, span // 6)


@given(st.data(), spaces())
def test_mutations_are_all_and_only_the_neighbours(
    data: st.DataObject, space: TeacherSpace
) -> None:
    teacher = data.draw(teachers(space))
    neighbours = [mutant for slot in space.mutations(teacher) for mutant in slot]
    assert len(set(neighbours)) == len(neighbours)
    assert teacher not in neighbours


def test_papers_third_stage_moves_by_up_to_three() -> None:
    (third,) = [slot for slot in PAPER.mutations(PAPER.largest) if slot[0].depths[2] != 23]
    assert [teacher.depths[2] for teacher in third] == [20, 21, 22]


@given(teachers())
def test_teacher_outside_the_space_is_recognised(teacher: Teacher) -> None:
    deep = teacher.model_copy(update={"depths": (4, *teacher.depths[1:])})
    wide = teacher.model_copy(update={"widths": (Decimal("1.1"), *teacher.widths[1:])})
    assert not PAPER.contains(deep)
    assert not PAPER.contains(wide)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_depths", (3, 1, 23, 3), "minDepths of stage 2 is 2, above maxDepths 1"),
        ("widths", ("1.5", "1.0"), "widths are 1.5, 1.0; each once, in rising order"),
        ("widths", ("1.0", "1.0"), "each once"),
        ("widths", (), "at least 1"),
    ],
)
def test_impossible_space_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TeacherSpace.model_validate({field: value})


def test_smallest_and_largest_teacher_are_the_papers() -> None:
    shape = SupernetShape()
    smallest, largest = (shape.architecture(t) for t in (PAPER.smallest, PAPER.largest))
    assert encode(smallest).startswith("[(64, 64, 256)-(64, 64, 256)], [(128, 128, 512)")
    assert (smallest.stem, smallest.depths) == (64, (2, 2, 2, 2))
    assert (largest.stem, largest.depths) == (96, (3, 4, 23, 3))
    assert largest.stage_outputs == (384, 768, 1536, 3072)
    assert largest.stages[3][0].widths == (768, 768, 3072)
    assert [shape.neck_width(t) for t in (PAPER.smallest, PAPER.largest)] == [256, 384]


def test_widths_round_half_up() -> None:
    shape = SupernetShape(stem=10, neck=2)
    teacher = PAPER.smallest.model_copy(update={"widths": (Decimal("1.25"),) * 6})
    assert shape.architecture(teacher).stem == 13
    assert shape.neck_width(teacher) == 3
