"""How a job's process ended, in words."""

import pytest

from detnas.runner.running_jobs import describe_exit


@pytest.mark.parametrize("code", [-9, 137], ids=["of a child", "of a shell"])
def test_of_a_killed_process_memory_is_named_as_a_possibility(code: int) -> None:
    said = describe_exit(code)
    assert said.startswith("was killed (SIGKILL); if memory ran out, ")
    for place in ("dmesg", "batchSize", "search.parallelism"):
        assert place in said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "ended with exit 1"),
        (75, "requested to be resumed too often"),
        (-11, "was ended by SIGSEGV"),
        (139, "was ended by SIGSEGV"),
        (255, "ended with exit 255"),
        (-60, "was ended by signal 60"),
    ],
)
def test_other_ends_are_named(code: int, said: str) -> None:
    assert describe_exit(code) == said
