"""The machines of a job, as their environment describes them, and how one of them ends."""

from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas_trainer.launching import launcher
from detnas_trainer.launching.launcher import exit_code
from detnas_trainer.launching.machines import Machines, machines_from_environment
from tests.trainer.conftest import Workplace

ENVIRONMENT = {
    "DETNAS_WORKERS": "4",
    "DETNAS_PROCESSES_PER_WORKER": "8",
    "DETNAS_RENDEZVOUS": "r101-pool-0-0.r101-pool-0:29500",
    "JOB_COMPLETION_INDEX": "3",
}


def test_machines_are_read_from_the_pods_environment() -> None:
    machines = machines_from_environment(ENVIRONMENT)
    assert machines == Machines(
        index=3, count=4, processes=8, host="r101-pool-0-0.r101-pool-0", port=29500
    )
    assert machines.reachable_host == machines.host
    first = machines_from_environment({**ENVIRONMENT, "JOB_COMPLETION_INDEX": "0"})
    assert first.reachable_host == "127.0.0.1"  # its own name may not resolve yet
    six = machines_from_environment({**ENVIRONMENT, "DETNAS_RENDEZVOUS": "[fd00::1]:29500"})
    assert (six.host, six.port) == ("fd00::1", 29500)


def test_machine_alone_needs_no_rendezvous() -> None:
    alone = machines_from_environment({"DETNAS_PROCESSES_PER_WORKER": "8"})
    assert (alone.index, alone.count, alone.processes) == (0, 1, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DETNAS_WORKERS", "0"),
        ("DETNAS_WORKERS", "two"),
        ("DETNAS_PROCESSES_PER_WORKER", "-1"),
        ("DETNAS_RENDEZVOUS", ""),
        ("DETNAS_RENDEZVOUS", "host"),
        ("DETNAS_RENDEZVOUS", ":29500"),
        ("DETNAS_RENDEZVOUS", "host:65536"),
        ("JOB_COMPLETION_INDEX", ""),
        ("JOB_COMPLETION_INDEX", "4"),
        ("DETNAS_RENDEZVOUS_SECONDS", "soon"),
        ("DETNAS_RENDEZVOUS_SECONDS", "0"),
        ("DETNAS_RENDEZVOUS_SECONDS", "inf"),
    ],
)
def test_missing_or_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name):
        machines_from_environment({**ENVIRONMENT, name: value})


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([75], 75),
        ([75, 75], 75),
        ([75, -15], 75),  # the agent ended the second before it could stop by itself
        ([75, 44], 44),
        ([2], 2),
        ([75, -9], 1),  # killed, for example for its memory: the first only lost it
        ([1], 1),
        ([139], 1),
    ],
)
def test_exit_code_is_that_of_the_cause(failures: list[int], code: int) -> None:
    assert exit_code(failures) == code


@pytest.mark.parametrize(
    ("failures", "on_gpus", "elsewhere"),
    [
        ([-6], 75, 1),  # torch's watchdog of NCCL
        ([-6, 75], 75, 1),
        ([-6, -9], 1, 1),
        ([-6, 2], 2, 2),
    ],
)
def test_rank_that_nccls_watchdog_ends_has_lost_another(
    failures: list[int], on_gpus: int, elsewhere: int
) -> None:
    assert exit_code(failures, aborts_without_peer=True) == on_gpus
    assert exit_code(failures) == elsewhere


def test_launch_counts_an_attempt_for_an_error_that_no_machine_explains(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a fault of the launcher")

    monkeypatch.setattr(launcher, "elastic_launch", fail)
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(tmp_path / "message"))
    uri = workplace.put(workplace.base_request("local/a/base"))
    assert launcher.launch("base", uri) == ExitCode.FAILED
    assert (tmp_path / "message").read_text() == "unexpected ValueError: a fault of the launcher"
