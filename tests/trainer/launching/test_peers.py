"""The nodes of a job: who they are, and what they tell one another."""

from collections.abc import Callable

import pytest

from detnas.errors import UserError
from detnas_trainer.launching.agent import exit_code
from detnas_trainer.launching.nodes import Nodes, nodes_from_environment
from detnas_trainer.launching.peers import (
    CONNECTION_LOST,
    ENDED,
    STOP,
    Peers,
    RendezvousError,
    connect,
)
from tests.ports import free_ports

ENVIRONMENT = {
    "DETNAS_WORKERS": "4",
    "DETNAS_PROCESSES_PER_WORKER": "8",
    "DETNAS_RENDEZVOUS": "r101-pool-0-0.r101-pool-0:29500",
    "JOB_COMPLETION_INDEX": "3",
}


def test_nodes_are_read_from_the_pods_environment() -> None:
    nodes = nodes_from_environment(ENVIRONMENT)
    assert nodes == Nodes(
        index=3, count=4, processes=8, host="r101-pool-0-0.r101-pool-0", port=29500
    )
    assert nodes.reachable_host == nodes.host
    first = nodes_from_environment({**ENVIRONMENT, "JOB_COMPLETION_INDEX": "0"})
    assert first.reachable_host == "127.0.0.1"  # its own name may not resolve yet
    six = nodes_from_environment({**ENVIRONMENT, "DETNAS_RENDEZVOUS": "[fd00::1]:29500"})
    assert (six.host, six.port) == ("fd00::1", 29500)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DETNAS_WORKERS", ""),
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
        ("DETNAS_PEER_SECONDS", "0"),
        ("DETNAS_PEER_SECONDS", "inf"),
    ],
)
def test_missing_or_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name):
        nodes_from_environment({**ENVIRONMENT, name: value})


@pytest.mark.parametrize(
    ("ended", "processes", "stopping", "code"),
    [
        (0, 0, False, 0),
        (None, 0, False, 0),  # the word may come later than the end
        (0, None, True, 0),  # it ended before it could be stopped
        (44, -15, False, 44),  # the agent ended the other ranks of rank 0's node
        (44, None, True, 44),
        (75, 75, True, 75),
        (75, -9, True, 75),  # it did not heed the wish to stop
        (75, -9, False, 1),  # its own loss is why the others stop
        (None, None, True, 75),
        (None, 2, False, 2),
        (None, 75, False, 75),  # the rank has lost the others
        (None, -9, False, 1),
        (None, 139, False, 1),
        (1, None, False, 1),
    ],
)
def test_exit_code_is_rank_0s_unless_the_node_was_killed(
    ended: int | None, processes: int | None, stopping: bool, code: int
) -> None:
    assert exit_code(ended, processes, stopping=stopping) == code


Make = Callable[[int], Peers]


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def peers(now: list[float]) -> Make:
    (port,) = free_ports(1)
    server = connect("127.0.0.1", port, 10, serve=True)

    def make(index: int) -> Peers:
        nodes = Nodes(index, count=3, processes=1, host="127.0.0.1", port=port, peer_seconds=5)
        store = server if index == 0 else connect("127.0.0.1", port, 10)
        return Peers(store, nodes, lambda: now[0])

    return make


def test_all_arrive_once(peers: Make) -> None:
    first, second, third = map(peers, range(3))
    first.arrive()
    third.arrive()
    assert first.absent() == second.absent() == [1]
    second.arrive()
    assert first.absent() == []
    with pytest.raises(RendezvousError, match="earlier process"):
        peers(1).arrive()
    assert first.beat().stop == "node 1 was started again"


def test_published_values_reach_all_and_the_first_is_kept(peers: Make) -> None:
    first, second = peers(0), peers(1)
    assert (second.beat().stop, second.beat().ended) == (None, None)
    first.publish(STOP, "node 2 was lost")
    second.publish(STOP, "node 1 was asked to stop")
    first.publish(ENDED, "75")
    assert second.beat() == first.beat()
    assert (second.beat().stop, second.beat().ended) == ("node 2 was lost", 75)


def test_node_without_a_heartbeat_is_lost_unless_it_left(peers: Make, now: list[float]) -> None:
    first, second, third = map(peers, range(3))
    assert first.beat().lost is None
    for moment in range(1, 5):
        now[0] = float(moment)
        second.beat()
        third.beat()
        assert first.beat().lost is None
    for moment in range(5, 12):
        now[0] = float(moment)
        second.beat()
        first.beat()
    assert first.beat().lost == 2
    assert second.beat().lost is None  # only the first listens to all
    third.leave()
    assert (first.beat().lost, first.beat().left) == (None, 1)
    assert second.beat().lost is None
    now[0] += 6.0
    assert second.beat().lost == 0


def test_without_the_first_node_the_connection_is_lost() -> None:
    (port,) = free_ports(1)
    with pytest.raises(CONNECTION_LOST):
        connect("127.0.0.1", port, 1)
