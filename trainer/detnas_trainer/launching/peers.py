"""What the nodes of a job exchange, through keys that the node of index 0 serves.

A node whose heartbeat has not changed for a while is lost. So is the job if the keys cannot be
reached, since the process that serves them also runs rank 0.
"""

import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]

from detnas_trainer.launching.nodes import Nodes

CONNECTION_LOST = (DistError, RuntimeError)
"""What the store's client raises when the keys cannot be reached."""

STOP, ENDED = "stop", "ended"
_CONNECT_SECONDS = 10.0
_POLL = 0.2


class RendezvousError(Exception):
    """The nodes did not meet; starting again may help."""


@dataclass(frozen=True, slots=True)
class PeerState:
    """What a node knows of the others.

    Attributes:
        stop: why all must stop; None if they need not.
        ended: rank 0's exit code, once it has ended.
        lost: a node without a heartbeat for too long.
        left: number of nodes that have left.
    """

    stop: str | None = None
    ended: int | None = None
    lost: int | None = None
    left: int = 0


class Peers:
    """This node's access to the keys; not thread-safe."""

    def __init__(
        self, store: TCPStore, nodes: Nodes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._clock = clock
        self._beats = 0
        self._beats_seen: dict[int, tuple[bytes, float]] = {}

    def arrive(self) -> None:
        """State that this node has arrived.

        Raises:
            RendezvousError: an earlier process of this node was there before; all must begin again.
        """
        me, key = uuid.uuid4().hex, f"node/{self._nodes.index}"
        if self._store.compare_set(key, "", me) != me.encode():
            self.publish(STOP, f"node {self._nodes.index} was started again")
            raise RendezvousError(
                "the others still hold the rendezvous with this node's earlier process"
            )

    def absent(self) -> list[int]:
        """Nodes that have not arrived."""
        return [n for n in range(self._nodes.count) if not self._store.check([f"node/{n}"])]

    def publish(self, key: str, value: str) -> None:
        """Write a value for all nodes; the first one is kept."""
        self._store.compare_set(key, "", value)

    def leave(self) -> None:
        """State that this node has left."""
        self._store.set(f"left/{self._nodes.index}", "1")

    def beat(self) -> PeerState:
        """Renew this node's heartbeat and read those of the others.

        The node of index 0 reads all, the others read its alone.
        """
        self._beats += 1
        self._store.set(f"beat/{self._nodes.index}", str(self._beats))
        ended = self._value(ENDED)
        others = range(1, self._nodes.count) if not self._nodes.index else (0,)
        left = [n for n in others if self._store.check([f"left/{n}"])]
        return PeerState(
            stop=self._value(STOP),
            ended=None if ended is None else int(ended),
            lost=next((n for n in others if n not in left and self._is_lost(n)), None),
            left=len(left),
        )

    def _value(self, key: str) -> str | None:
        return self._store.get(key).decode() if self._store.check([key]) else None

    def _is_lost(self, node: int) -> bool:
        now = self._clock()
        key = f"beat/{node}"
        beat = self._store.get(key) if self._store.check([key]) else b""
        if node not in self._beats_seen or self._beats_seen[node][0] != beat:
            self._beats_seen[node] = (beat, now)
        return now - self._beats_seen[node][1] > self._nodes.peer_seconds


def meet(nodes: Nodes, ended: Callable[[], bool]) -> Peers | None:
    """Wait until every node is there; None if the job turns out to have ended meanwhile.

    Where ``ended()`` is true the others may never come.

    Raises:
        RendezvousError: they do not arrive in time.
    """
    deadline = time.monotonic() + nodes.rendezvous_seconds
    asked = time.monotonic()
    peers: Peers | None = None
    while time.monotonic() < deadline:
        if time.monotonic() - asked > _CONNECT_SECONDS:
            asked = time.monotonic()
            if ended():
                return None
        if peers is None and (nodes.index == 0 or _listens(nodes)):
            peers = _connected(nodes)
        elif peers is not None and not _absent(peers):
            return peers
        time.sleep(_POLL)
    if peers is None:
        found = f"node 0 at {nodes.host}:{nodes.port} does not answer"
    else:
        found = f"node {', '.join(map(str, _absent(peers)))} did not come"
    raise RendezvousError(f"{found} within {nodes.rendezvous_seconds:.0f} s")


def connect(host: str, port: int, seconds: float, *, serve: bool = False) -> TCPStore:
    """A client of the keys; the node of index 0 serves them first."""
    return TCPStore(
        host,
        port,
        is_master=serve,
        timeout=timedelta(seconds=seconds),
        wait_for_workers=False,
        multi_tenant=serve,  # torch's agent in the same process shares the server
    )


def _connected(nodes: Nodes) -> Peers:
    try:
        store = connect(nodes.reachable_host, nodes.port, _CONNECT_SECONDS, serve=nodes.index == 0)
        peers = Peers(store, nodes)
        peers.arrive()
    except CONNECTION_LOST as error:
        raise RendezvousError(f"{nodes.host}:{nodes.port}: {error}") from error
    return peers


def _absent(peers: Peers) -> list[int]:
    try:
        return peers.absent()
    except CONNECTION_LOST as error:
        raise RendezvousError(f"node 0 was lost while the others were waited for: {error}") from (
            error
        )


def _listens(nodes: Nodes) -> bool:
    """Whether node 0's port is open; its name may not even resolve at first."""
    try:
        socket.create_connection((nodes.host, nodes.port), timeout=2.0).close()
    except OSError:
        return False
    return True
