"""How threads wait, and how many there are: what OpenMP itself has read in the trainer's process.

OpenMP prints its settings when it is loaded, to standard error.
"""

import os
import subprocess
import sys

import pytest

from detnas_trainer import process_setup
from detnas_trainer.process_setup import set_up_openmp

PASSIVELY, SHORTLY = "OMP_WAIT_POLICY = 'PASSIVE'", "GOMP_SPINCOUNT = '1000'"
JOB = """
from detnas_trainer import cli, jobs

def run(verb, uri):
    import torch
    return 0

jobs.run = run
cli.main(["evaluate", "file:///absent"])
"""
NODE = """
from detnas_trainer import cli

cli.main(["launch", "pool", "file:///absent"])
"""


def settings_of_openmp(code: str, **settings: str) -> str:
    """Start the trainer by hand, as far as torch's import, and return what OpenMP prints."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "GOMP_", "KMP_", "DETNAS_"))
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={**inherited, "OMP_DISPLAY_ENV": "VERBOSE", **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "OPENMP DISPLAY ENVIRONMENT END" in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("code", [JOB, NODE], ids=["job", "node of several"])
def test_job_started_by_hand_waits_passively(code: str) -> None:
    said = settings_of_openmp(code)
    assert PASSIVELY in said
    assert SHORTLY in said


def test_users_own_settings_stay() -> None:
    said = settings_of_openmp(JOB, OMP_WAIT_POLICY="ACTIVE", OMP_NUM_THREADS="3")
    assert PASSIVELY not in said
    assert SHORTLY not in said
    assert "OMP_NUM_THREADS = '3'" in said


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_users_choice_of_spinning_is_kept(name: str) -> None:
    own = {name: "100"}
    set_up_openmp(own)
    assert own == {name: "100"}


@pytest.mark.parametrize(
    ("quota", "own", "threads"),
    [(2, {}, ("2", "2")), (2, {"OMP_NUM_THREADS": "5"}, ("5", "2")), (16, {}, (None, None))],
    ids=["a quota", "the user's own number", "no quota"],
)
def test_quota_limits_the_threads_unless_the_user_chose_them(
    monkeypatch: pytest.MonkeyPatch,
    quota: int,
    own: dict[str, str],
    threads: tuple[str | None, str | None],
) -> None:
    monkeypatch.setattr(process_setup, "affinity", lambda: 16)
    monkeypatch.setattr(process_setup, "processors", lambda: quota)
    environment = dict(own)
    set_up_openmp(environment)
    names = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
    assert tuple(map(environment.get, names)) == threads
