"""Jobs in several processes: they end as one does, and continue wherever they were ended."""

import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from detnas.records.results import Outcome
from tests.ports import free_ports
from tests.trainer.conftest import Workplace, training
from tests.trainer.launching.launched import (
    PATIENCE,
    Launched,
    launched,
    machine,
    newest_step,
    wait_for_step,
)

KEY = "local/pools/p/phase-0"
OTHER = "local/pools/q/phase-0"
TWO = {"DETNAS_PROCESSES_PER_WORKER": "2"}
EPOCHS = 6
STEPS = 3 * EPOCHS


@pytest.mark.timeout(1200)
def test_job_of_two_ranks_killed_and_stopped_ends_with_the_weights_of_one_that_was_not(
    workplace: Workplace,
) -> None:
    settings = training(EPOCHS)
    uri = workplace.put(workplace.pool_request(KEY, phase=0, training=settings))
    with launched(workplace, "pool", uri, "whole", **TWO) as whole:
        assert whole.code() == 0
    expected = workplace.result(KEY)
    assert (expected.outcome, expected.iterations) == (Outcome.SUCCEEDED, STEPS)

    uri, store = (
        workplace.put(workplace.pool_request(OTHER, phase=0, training=settings)),
        workplace.store,
    )
    with launched(workplace, "pool", uri, "killed", **TWO) as killed:
        wait_for_step(store, OTHER, random.randint(1, STEPS // 3), killed.is_alive)
        os.kill(killed.ranks()[1], signal.SIGKILL)
        assert killed.code() == 1  # counted, and started again
    done = newest_step(store, OTHER)
    with launched(workplace, "pool", uri, "stopped", **TWO) as stopped:
        wait_for_step(store, OTHER, done + random.randint(1, STEPS // 3), stopped.is_alive)
        stopped.process.terminate()
        assert stopped.code() == 75
    done = newest_step(store, OTHER)
    with launched(workplace, "pool", uri, "finished", **TWO) as finished:
        assert finished.code() == 0
    last = workplace.attempt(OTHER, 3)
    assert last is not None
    assert last.resumed_at == done < STEPS
    assert workplace.attempt(OTHER, 4) is None  # one for all ranks
    result = workplace.result(OTHER)
    assert result.subnets == expected.subnets
    weights, others = workplace.weights(result), workplace.weights(expected)
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in others)


def test_result_of_two_ranks_is_that_of_one_process(workplace: Workplace) -> None:
    alone = workplace.succeed(workplace.base_request("local/searches/a/base"))
    request = workplace.base_request("local/searches/b/base")
    with launched(workplace, "base", workplace.put(request), "shared", **TWO) as shared:
        assert shared.code() == 0
    result = workplace.result(request.key)
    assert result.loss_by_epoch == pytest.approx(alone.loss_by_epoch, rel=1e-3)
    assert result.final_loss == pytest.approx(alone.final_loss, rel=1e-3)
    for own, other in zip(result.scores, alone.scores, strict=True):
        assert own.resolution == other.resolution
        assert own.map == pytest.approx(other.map, abs=1e-3)


def test_batch_that_cannot_be_shared_out_is_invalid(workplace: Workplace) -> None:
    request = workplace.base_request(KEY, training=training(1, batch_size=3))
    with launched(workplace, "base", workplace.put(request), "odd", **TWO) as odd:
        assert odd.code() == 0
    result = workplace.result(KEY)
    assert result.outcome is Outcome.INVALID
    assert "3 images cannot be shared out equally over 2 processes" in result.message


@contextlib.contextmanager
def _pair(workplace: Workplace, uri: str) -> Iterator[tuple[Launched, Launched]]:
    """Start the launchers of two machines."""
    (port,) = free_ports(1)
    with (
        launched(workplace, "base", uri, "first", **machine(0, port)) as first,
        launched(workplace, "base", uri, "second", **machine(1, port)) as second,
    ):
        yield first, second


@pytest.mark.slow
def test_stopped_or_lost_machine_ends_both_and_the_job_resumes(workplace: Workplace) -> None:
    store = workplace.store
    uri = workplace.put(workplace.base_request(KEY, training=training(200)))

    def advanced(first: Launched, second: Launched) -> None:
        step = newest_step(store, KEY) + 2
        wait_for_step(store, KEY, step, lambda: first.is_alive() and second.is_alive())

    with _pair(workplace, uri) as (first, second):
        advanced(first, second)
        second.process.terminate()
        assert (first.code(), second.code()) == (75, 75)
    stopped_at = newest_step(store, KEY)

    with _pair(workplace, uri) as (first, second):
        advanced(first, second)
        second.process.kill()
        assert (first.code(), second.code()) == (75, -signal.SIGKILL)

    with _pair(workplace, uri) as (first, second):
        advanced(first, second)
        (rank_0,) = first.ranks()
        first.process.kill()
        assert (first.code(), second.code()) == (-signal.SIGKILL, 75)
    assert _has_died(rank_0)
    second_attempt = workplace.attempt(KEY, 2)
    assert second_attempt is not None
    assert second_attempt.resumed_at == stopped_at
    assert workplace.attempt(KEY, 3) is not None
    assert workplace.attempt(KEY, 4) is None


def _has_died(process: int) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            stat = Path(f"/proc/{process}/stat").read_text()
            state = stat.rpartition(")")[2].split()[0]
            if state != "Z":  # the process that inherited it may not have waited for it yet
                time.sleep(0.1)
                continue
        return True
    return False


@pytest.mark.parametrize(
    ("index", "host"), [(0, "127.0.0.1"), (1, "127.0.0.2"), (1, "nowhere.invalid")]
)
def test_machine_that_waits_in_vain_exits_with_75(
    workplace: Workplace, index: int, host: str
) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    (port,) = free_ports(1)
    environment = machine(index, port) | {
        "DETNAS_RENDEZVOUS_SECONDS": "2",
        "DETNAS_RENDEZVOUS": f"{host}:{port}",
    }
    with launched(workplace, "base", uri, "waits", **environment) as waits:
        assert waits.code() == 75
    assert (workplace.root / "message-waits").read_text().startswith("rendezvous: ")


def test_sigterm_while_waiting_ends_it_at_once(workplace: Workplace) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    (port,) = free_ports(1)
    with launched(workplace, "base", uri, "waits", **machine(0, port)) as waits:
        _wait_until_it_listens(port)
        waits.process.terminate()
        assert waits.process.wait(30) == 75


def _wait_until_it_listens(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError("machine 0 does not listen")


def test_wrong_environment_or_job_is_exit_code_2(workplace: Workplace) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    environment = machine(0, 1234) | {"JOB_COMPLETION_INDEX": "2"}
    absent_uri = f"{workplace.store.uri}/local/absent"
    with (
        launched(workplace, "base", uri, "wrong", **environment) as wrong,
        launched(workplace, "base", absent_uri, "absent", **TWO) as absent,
    ):
        assert (wrong.code(), absent.code()) == (2, 2)
    assert "JOB_COMPLETION_INDEX is '2'" in (workplace.root / "message-wrong").read_text()
    assert "holds no request.json" in (workplace.root / "message-absent").read_text()
    assert list(workplace.store.list("")) == [f"{KEY}/request.json"]
