"""The draw of an iteration's subnet: the same everywhere, inside the space, covering it."""

import inspect
import subprocess
import sys
from collections import Counter

from detnas.teachers import Teacher, TeacherSpace
from detnas_trainer.supernet import subnet_at

SPACE = TeacherSpace(min_depths=(1, 1, 2, 1), max_depths=(1, 2, 3, 1))


def test_the_same_draw_in_another_process():
    code = (
        "import runpy, sys;"
        "from detnas.teachers import TeacherSpace;"
        "draw = runpy.run_path(sys.argv[1])['subnet_at'];"
        "space = TeacherSpace.model_validate_json(sys.argv[2]);"
        "print(*(draw(5, number, space).model_dump_json() for number in range(10)), sep='\\n')"
    )
    arguments = [str(inspect.getsourcefile(subnet_at)), SPACE.model_dump_json()]
    printed = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout
    drawn = [Teacher.model_validate_json(line) for line in printed.splitlines()]
    assert drawn == [subnet_at(5, iteration, SPACE) for iteration in range(10)]


def test_draws_lie_in_the_space_and_each_slot_takes_all_its_values_evenly():
    draws = [subnet_at(0, iteration, SPACE) for iteration in range(1200)]
    assert all(SPACE.contains(teacher) for teacher in draws)
    for slot in range(6):
        counts = Counter(teacher.widths[slot] for teacher in draws)
        assert set(counts) == set(SPACE.widths)
        assert min(counts.values()) > 300
    for stage in (1, 2):
        depths = Counter(teacher.depths[stage] for teacher in draws)
        assert len(depths) == 2
        assert min(depths.values()) > 500


def test_iterations_and_seeds_draw_apart():
    first = [subnet_at(0, iteration, SPACE) for iteration in range(20)]
    assert first != [subnet_at(1, iteration, SPACE) for iteration in range(20)]
    assert len(set(first)) > 10
