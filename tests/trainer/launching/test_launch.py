"""A job on two nodes, each a real launcher with real processes, all on this machine.

Most of the jobs only pretend to train (`pretended.py`); that the trainer itself goes on from its
checkpoint when the nodes meet again is shown in `tests/operator/scenarios/test_pool_workers.py`.
"""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from detnas.records.results import Outcome
from detnas.store import Store
from tests.ports import free_ports
from tests.trainer.conftest import Workplace, training
from tests.trainer.launching.pretended import newest_step

ROOT = Path(__file__).parents[3]
KEY = "local/pools/p/phase-0"
PATIENCE = 240.0
"""Seconds for what takes a few on an idle machine."""

PEER_SECONDS = 10.0
PRETENDED, REAL = "tests.trainer.launching.pretended", "detnas_trainer.cli"


@dataclass(frozen=True)
class Pair:
    """Both nodes of a job, and their output."""

    nodes: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]
    logs: tuple[Path, Path]

    def codes(self) -> tuple[int, int]:
        """Exit codes, once both have ended."""
        first, second = (node.wait(PATIENCE) for node in self.nodes)
        return first, second

    def alive(self) -> bool:
        """Whether neither has ended."""
        return all(node.poll() is None for node in self.nodes)

    def worker(self, node: int) -> int:
        """Process id of the rank that a node has started."""
        launcher = self.nodes[node].pid
        for children in Path(f"/proc/{launcher}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                if PRETENDED.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
        raise AssertionError(f"node {node} has no rank: {self.logs[node].read_text()}")


@dataclass(frozen=True)
class Place:
    """Where pairs are started."""

    workplace: Workplace

    def node(
        self, index: int, port: int, uri: str, module: str = PRETENDED, **settings: str
    ) -> subprocess.Popen[bytes]:
        """Start the launcher of one node."""
        environment = {
            **os.environ,
            "DETNAS_WORKERS": "2",
            "DETNAS_RENDEZVOUS": f"127.0.0.1:{port}",
            "JOB_COMPLETION_INDEX": str(index),
            "DETNAS_PEER_SECONDS": str(PEER_SECONDS),
            "DETNAS_TERMINATION_LOG": str(self.workplace.root / f"message-{index}"),
            **settings,
        }
        with self.log(index).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, "launch", "base", uri],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    @contextlib.contextmanager
    def pair(self, uri: str, module: str = PRETENDED) -> Iterator[Pair]:
        """Start both nodes; whatever is left is killed."""
        (port,) = free_ports(1)
        first, second = (self.node(index, port, uri, module) for index in range(2))
        pair = Pair((first, second), (self.log(0), self.log(1)))
        try:
            yield pair
        except BaseException:
            print(*(log.read_text() for log in pair.logs), sep="\n----\n")
            raise
        finally:
            for node in pair.nodes:
                node.kill()
                node.wait()

    def log(self, index: int) -> Path:
        """A node's output."""
        return self.workplace.root / f"node-{index}.txt"

    def termination_message(self, index: int) -> str:
        """What a node wrote for its pod's status."""
        return (self.workplace.root / f"message-{index}").read_text()


@pytest.fixture
def place(workplace: Workplace) -> Place:
    return Place(workplace)


def _wait_for_step(store: Store, step: int, alive: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while newest_step(store, KEY) < step:
        assert alive(), "a node ended too early"
        assert time.monotonic() < end, "the job did not get that far"
        time.sleep(0.05)


def _dies(process: int) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":  # the process that inherited it may not have waited for it yet
                time.sleep(0.1)
                continue
        return True
    return False


@pytest.mark.slow
def test_stopped_or_lost_node_ends_both_and_the_job_resumes(
    place: Place, workplace: Workplace
) -> None:
    store = workplace.store
    uri = workplace.put(workplace.base_request(KEY))

    with place.pair(uri) as asked:  # a preemption of the node that does not even train
        _wait_for_step(store, 2, asked.alive)
        asked.nodes[1].terminate()
        assert asked.codes() == (75, 75)
    assert place.termination_message(1) == "Interrupted: node 1 was asked to stop"
    # Its rank may end before its launcher knows why.
    assert place.termination_message(0).startswith("Interrupted: ")

    with place.pair(uri) as lost:  # a rank is killed: its own pod fails, the other resumes later
        _wait_for_step(store, newest_step(store, KEY) + 2, lost.alive)
        os.kill(lost.worker(1), signal.SIGKILL)
        killed = time.monotonic()
        assert lost.codes() == (75, 1)
        assert time.monotonic() - killed < 60

    with place.pair(uri) as vanished:  # an entire node is gone without notice
        _wait_for_step(store, newest_step(store, KEY) + 2, vanished.alive)
        vanished.nodes[1].kill()
        killed = time.monotonic()
        assert vanished.codes() == (75, -signal.SIGKILL)
        assert PEER_SECONDS / 2 < time.monotonic() - killed < PEER_SECONDS + 60
    assert place.termination_message(0) == "Interrupted: node 1 was lost"

    with place.pair(uri) as headless:  # the node of rank 0 is gone
        _wait_for_step(store, newest_step(store, KEY) + 2, headless.alive)
        rank_0 = headless.worker(0)
        headless.nodes[0].kill()
        killed = time.monotonic()
        assert headless.codes() == (-signal.SIGKILL, 75)
        assert time.monotonic() - killed < 60
    assert _dies(rank_0)

    # One rank works, the other only waits: an attempt for each meeting, each on from the last.
    attempts = [workplace.attempt(KEY, number) for number in range(1, 5)]
    begun = [attempt.resumed_at for attempt in attempts if attempt]
    assert len(begun) == 4
    assert begun[0] == 0
    reached = [*begun, newest_step(store, KEY)]
    assert all(after >= before + 2 for before, after in itertools.pairwise(reached)), reached
    assert workplace.attempt(KEY, 5) is None


def test_rank_0_trains_and_both_nodes_exit_with_0(
    place: Place, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("OMP_DISPLAY_ENV", "TRUE")
    uri = workplace.put(workplace.base_request(KEY, training=training(1)))
    with place.pair(uri, REAL) as pair:
        assert pair.codes() == (0, 0)
    for log in pair.logs:  # of the launcher and of its rank
        policies = re.findall(r"OMP_WAIT_POLICY = '(\w+)'", log.read_text())
        assert len(policies) >= 2
        assert set(policies) == {"PASSIVE"}
    result = workplace.result(KEY)
    assert (result.outcome, result.attempt, result.iterations) == (Outcome.SUCCEEDED, 1, 3)
    assert "training is not distributed yet" in pair.logs[1].read_text()
    alone = place.node(1, free_ports(1)[0], uri)
    assert alone.wait(PATIENCE) == 0
    assert "the result was there already" in place.log(1).read_text()


def test_final_exit_code_of_a_rank_is_that_of_both_nodes(
    place: Place, workplace: Workplace
) -> None:
    uri = workplace.put(workplace.base_request(KEY, training=training(0)))
    with place.pair(uri) as pair:
        assert pair.codes() == (44, 44)


@pytest.mark.parametrize(
    ("index", "host", "said"),
    [
        (0, "127.0.0.1", "node 1 did not come within 2 s"),
        (1, "127.0.0.2", "does not answer within 2 s"),
        (1, "nowhere.invalid", "does not answer within 2 s"),
    ],
)
def test_node_that_waits_in_vain_exits_with_75(
    place: Place, workplace: Workplace, index: int, host: str, said: str
) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    (port,) = free_ports(1)
    settings = {"DETNAS_RENDEZVOUS_SECONDS": "2", "DETNAS_RENDEZVOUS": f"{host}:{port}"}
    node = place.node(index, port, uri, **settings)
    assert node.wait(PATIENCE) == 75
    assert said in place.termination_message(index)


def test_sigterm_while_waiting_ends_it_at_once(place: Place, workplace: Workplace) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    (port,) = free_ports(1)
    node = place.node(0, port, uri)
    _until_it_listens(port)
    node.terminate()
    assert node.wait(30) == 75


def _until_it_listens(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError("node 0 does not listen")


def test_wrong_environment_or_job_is_exit_code_2(place: Place, workplace: Workplace) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    wrong = place.node(0, 1234, uri, JOB_COMPLETION_INDEX="2")
    absent = place.node(1, 1234, f"{workplace.store.uri}/local/absent")
    assert (wrong.wait(PATIENCE), absent.wait(PATIENCE)) == (2, 2)
    assert "JOB_COMPLETION_INDEX is '2'" in place.termination_message(0)
    assert "holds no request.json" in place.termination_message(1)
    assert list(workplace.store.list("")) == [f"{KEY}/request.json"]
