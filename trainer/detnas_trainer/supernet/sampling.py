"""Draws of pool training: functions of the seed, equal for all ranks and after a resume."""

from random import Random

from detnas.teachers import Teacher, TeacherSpace


def subnet_at(seed: int, iteration: int, space: TeacherSpace) -> Teacher:
    """The one subnet that every rank trains at an iteration (paper, A.1.3)."""
    return space.sample(Random(f"subnet/{seed}/{iteration}"))
