"""Descriptions of how a job's process ended."""

import pytest

from detnas.runner.running_jobs import describe_exit


@pytest.mark.parametrize("code", [-9, 137], ids=["of a child", "of a shell"])
def test_describe_exit_of_a_killed_process_names_memory_as_a_cause(code: int) -> None:
    message = describe_exit(code)
    assert message.startswith("was killed (SIGKILL); if memory ran out, ")
    for hint in ("dmesg", "batchSize", "search.parallelism"):
        assert hint in message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1, "ended with exit 1"),
        (75, "requested to be resumed too often"),
        (-11, "was ended by SIGSEGV"),
        (139, "was ended by SIGSEGV"),
        (255, "ended with exit 255"),
        (-60, "was ended by signal 60"),
    ],
)
def test_describe_exit_of_other_ends(code: int, message: str) -> None:
    assert describe_exit(code) == message
