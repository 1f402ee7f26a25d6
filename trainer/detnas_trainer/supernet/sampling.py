"""Draws of subnets: functions of the seed, equal for all ranks and after a resume."""

from random import Random

from detnas.teachers import Teacher, TeacherSpace

TEACHERS_DRAWN = 16
"""Teachers of which one is drawn per step: each gets statistics of its own, and stays in memory."""


def teachers_to_draw(seed: int, space: TeacherSpace) -> tuple[Teacher, ...]:
    """The teachers of which one is drawn at each step, the same for all jobs under a pool.

    Args:
        seed: the pool's.
        space: the pool's.
    """
    draws = (space.sample(Random(f"teacher/{seed}/{n}")) for n in range(TEACHERS_DRAWN))
    return tuple(dict.fromkeys(draws))


def subnet_at(seed: int, iteration: int, space: TeacherSpace) -> Teacher:
    """The one subnet that every rank trains at an iteration (paper, A.1.3)."""
    return space.sample(Random(f"subnet/{seed}/{iteration}"))
