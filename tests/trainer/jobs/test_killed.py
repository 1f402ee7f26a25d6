"""A killed job resumes from its checkpoint and ends with the same weights, bit for bit."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas_trainer import jobs
from detnas_trainer.training.checkpoint import CheckpointRecord
from tests.trainer.conftest import Workplace, training

KEY = "local/killed/base"
STEPS = 24


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")


def _newest(store: Store) -> int:
    """Steps that the checkpoints in the store hold, without a look at their tensors."""
    keys = [k for k in store.list(f"{KEY}/attempts/") if k.endswith("/checkpoint.json")]
    records = [load_record(store, key, CheckpointRecord) for key in keys]
    return max((record.iteration for record in records if record), default=0)


def _wait(workplace: Workplace, step: int, alive: Callable[[], bool]) -> None:
    end = time.monotonic() + 240
    while _newest(workplace.store) < step:
        assert alive(), "the job ended before it could be killed"
        assert time.monotonic() < end, "the job did not get that far"
        time.sleep(0.005)


def _fork(uri: str) -> multiprocessing.process.BaseProcess:
    child = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(jobs.run("base", uri))
    )
    child.start()
    return child


@pytest.mark.slow
@pytest.mark.usefixtures("every_step")
def test_job_killed_repeatedly_ends_with_the_weights_of_a_run_left_alone(
    workplace: Workplace,
) -> None:
    epochs = training(STEPS // 3)
    expected = workplace.succeed(workplace.base_request("local/alone/base", training=epochs))

    request = workplace.base_request(KEY, training=epochs)
    uri = workplace.put(request)
    process = subprocess.Popen(
        [sys.executable, "-m", "detnas_trainer.cli", "base", uri], cwd=Path(__file__).parents[3]
    )
    _wait(workplace, 4, lambda: process.poll() is None)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for step in (9, 14, 19):
        child = _fork(uri)
        _wait(workplace, step, child.is_alive)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    result = workplace.succeed(request)
    assert result.weights.sha256 == expected.weights.sha256
    assert result.scores == expected.scores
    assert result.final_loss == expected.final_loss
    assert (result.attempt, result.iterations) == (5, STEPS)
    starts = [workplace.attempt(KEY, number) for number in range(1, 6)]
    resumed = [attempt.resumed_at for attempt in starts if attempt]
    assert resumed == sorted(set(resumed))
    assert resumed[1] >= 4


@pytest.mark.usefixtures("every_step")
def test_sigterm_ends_a_job_with_a_checkpoint_and_75(workplace: Workplace) -> None:
    uri = workplace.put(workplace.base_request(KEY, training=training(40)))
    child = _fork(uri)
    _wait(workplace, 2, child.is_alive)
    child.terminate()
    child.join()
    assert child.exitcode == 75
    assert not workplace.has_result(KEY)
    kept = _newest(workplace.store)
    assert kept >= 2
    child = _fork(uri)
    _wait(workplace, kept + 1, child.is_alive)
    child.terminate()
    child.join()
    attempt = workplace.attempt(KEY, 2)
    assert attempt is not None
    assert attempt.resumed_at == kept
