"""Draws of teachers: the same for every job under a pool."""

from detnas.teachers import TeacherSpace
from detnas_trainer.supernet import teachers_to_draw
from detnas_trainer.supernet.sampling import TEACHERS_DRAWN

SPACE = TeacherSpace()


def test_teachers_to_draw_are_of_the_pools_space_and_follow_from_its_seed() -> None:
    found = teachers_to_draw(3, SPACE)
    assert found == teachers_to_draw(3, SPACE)
    assert found != teachers_to_draw(4, SPACE)
    assert len(set(found)) == len(found) == TEACHERS_DRAWN
    assert all(SPACE.contains(teacher) for teacher in found)


def test_teachers_to_draw_of_a_single_teacher_are_that_one() -> None:
    alone = SPACE.model_copy(update={"min_depths": SPACE.max_depths, "widths": SPACE.widths[-1:]})
    assert teachers_to_draw(3, alone) == (alone.largest,)
