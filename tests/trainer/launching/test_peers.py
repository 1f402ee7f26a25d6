"""What nodes tell one another, over a real store of keys."""

from collections.abc import Callable

import pytest

from detnas_trainer.launching.nodes import Nodes
from detnas_trainer.launching.peers import ENDED, LOST_KEYS, STOP, Peers, RendezvousError, connect
from tests.ports import free_ports

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


def test_words_reach_everyone_and_the_first_stands(peers: Make) -> None:
    first, second = peers(0), peers(1)
    assert (second.beat().stop, second.beat().ended) == (None, None)
    first.say(STOP, "node 2 was lost")
    second.say(STOP, "node 1 was asked to stop")
    first.say(ENDED, "75")
    assert second.beat() == first.beat()
    assert (second.beat().stop, second.beat().ended) == ("node 2 was lost", 75)


def test_who_does_not_beat_is_lost_unless_it_said_goodbye(peers: Make, now: list[float]) -> None:
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


def test_without_the_first_node_nothing_is_heard() -> None:
    (port,) = free_ports(1)
    with pytest.raises(LOST_KEYS):
        connect("127.0.0.1", port, 1)
