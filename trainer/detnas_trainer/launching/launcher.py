"""The process of a node: meets the other nodes, supervises its processes, ends as all do."""

import contextlib
import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.store.errors import StoreError
from detnas_trainer.jobs.folder import JobFolder, open_folder
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.jobs.termination_message import write_termination_message
from detnas_trainer.launching.agent import FINAL, Agent, exit_code
from detnas_trainer.launching.nodes import Nodes, nodes_from_environment
from detnas_trainer.launching.peers import (
    CONNECTION_LOST,
    ENDED,
    STOP,
    Peers,
    PeerState,
    RendezvousError,
    meet,
)
from detnas_trainer.training.interruption import (
    exit_on_sigterm,
    stop_seconds,
)

_BEAT_SECONDS = 1.0
_POLL_SECONDS = 0.2
_LEAVE_SECONDS = 10.0
"""Seconds for processes to end, and for nodes to leave, once rank 0 has ended."""

log = logging.getLogger("detnas_trainer")


def launch(verb: str, uri: str) -> int:
    """Run this node's part of a job; see the package for what that is today.

    Returns:
        The exit code, as `detnas_trainer.jobs.run` has it; 75 also where the nodes did not meet,
        or one was lost. The caller should leave the process with it at once.
    """
    set_up_logging()
    with exit_on_sigterm():
        try:
            nodes = nodes_from_environment()
            folder = open_folder(verb, uri)
            if folder.outcome() is not None:
                return _end_with("the result was there already", 0)
            log.info("node %d of %d waits for the others", nodes.index, nodes.count)
            peers = meet(nodes, lambda: _has_result(folder))
        except StoreError as error:
            return _end_with(f"error: {error}", ExitCode.FAILED)
        except UserError as error:
            return _end_with(f"error: {error}", ExitCode.USAGE)
        except RendezvousError as error:
            return _end_with(f"rendezvous: {error}", ExitCode.INTERRUPTED)
        if peers is None:
            return _end_with("the result has come meanwhile", 0)
        return Launcher(nodes, Heartbeat(peers, nodes), Agent(nodes, verb, uri)).run()


def _has_result(folder: JobFolder[Any]) -> bool:
    with contextlib.suppress(StoreError):  # it is checked again later
        return folder.outcome() is not None
    return False


def _end_with(line: str, code: int) -> int:
    log.log(logging.ERROR if code else logging.INFO, "%s", line)
    write_termination_message(line)
    return code


class Heartbeat:
    """The heartbeat, in a thread: the launcher must not wait for a network that is down."""

    def __init__(self, peers: Peers, nodes: Nodes) -> None:
        self._peers = peers
        self._patience = nodes.peer_seconds
        self._pending: dict[str, str] = {}
        self._leaving = False
        self._last_contact = time.monotonic()
        self._unreachable = False
        self.state = PeerState()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._beat, daemon=True).start()

    def publish(self, key: str, value: str) -> None:
        """Publish a key to all nodes with the next beat."""
        self._pending.setdefault(key, value)

    def leave(self) -> None:
        """Leave with the next beat."""
        self._leaving = True

    @property
    def unreachable(self) -> bool:
        """Whether the keys, and rank 0 with them, are out of reach."""
        return self._unreachable or time.monotonic() - self._last_contact > self._patience

    def _beat(self) -> None:
        try:
            while True:
                for key, value in list(self._pending.items()):
                    self._peers.publish(key, value)
                if self._leaving:
                    self._peers.leave()
                self.state = self._peers.beat()
                self._last_contact = time.monotonic()
                time.sleep(_POLL_SECONDS if self._leaving or self._pending else _BEAT_SECONDS)
        except CONNECTION_LOST as error:
            log.info("node 0 is out of reach: %s", str(error).splitlines()[0])
            self._unreachable = True


@dataclass
class Launcher:
    """Watches until this node's processes have ended, or need not be waited for."""

    nodes: Nodes
    heartbeat: Heartbeat
    agent: Agent
    _stop_requested: bool = False
    _reason: str | None = None
    _limits: dict[str, float] = field(default_factory=dict)

    def run(self) -> int:
        """Start the processes and return the exit code, when this node is done."""
        signal.signal(signal.SIGTERM, self._request_stop)
        self.heartbeat.start()
        self.agent.start()
        while not self.agent.wait(_POLL_SECONDS) and not self._timed_out():
            self._check_peers()
        self._leave_peers(self._code())
        code = self._code()  # another node may have published its end only now
        if code == ExitCode.INTERRUPTED:
            write_termination_message(f"Interrupted: {self._reason or 'rank 0 wants to resume'}")
        return code

    def _code(self) -> int:
        stopping = self._reason is not None
        return exit_code(self.heartbeat.state.ended, self.agent.code, stopping=stopping)

    def _request_stop(self, *_: object) -> None:
        self._stop_requested = True

    def _check_peers(self) -> None:
        state = self.heartbeat.state
        if self._stop_requested:
            self._stop(f"node {self.nodes.index} was asked to stop")
        elif state.lost is not None:
            self._stop(f"node {state.lost} was lost")
        elif state.stop:
            self._stop(state.stop)
        elif self.heartbeat.unreachable and state.ended is None:
            self._stop("node 0 was lost")
        if state.ended is not None:
            self._limits.setdefault("ended", time.monotonic() + _LEAVE_SECONDS)

    def _stop(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            log.warning("%s: all nodes stop, and resume from the checkpoint", reason)
            self.heartbeat.publish(STOP, reason)
            # Only rank 0 has something to save; without its keys it cannot be reached.
            alone = self.heartbeat.unreachable and self.nodes.index
            patience = 0.0 if alone else stop_seconds() + _LEAVE_SECONDS / 2
            self._limits["stop"] = time.monotonic() + patience

    def _timed_out(self) -> bool:
        return any(time.monotonic() > limit for limit in self._limits.values()) or (
            self._reason is not None and self.heartbeat.unreachable and self.nodes.index != 0
        )

    def _leave_peers(self, code: int) -> None:
        """Publish how this node ends; node 0 serves the keys until all have read it."""
        if code in FINAL:
            self.heartbeat.publish(ENDED, str(code))
        elif code not in (0, ExitCode.INTERRUPTED):
            self.heartbeat.publish(STOP, f"node {self.nodes.index} failed")
        self.heartbeat.leave()
        until = time.monotonic() + _LEAVE_SECONDS
        waits_for = self.nodes.count - 1 if self.nodes.index == 0 else 1
        while time.monotonic() < until and not self.heartbeat.unreachable:
            if self.heartbeat.state.left >= waits_for:
                return
            time.sleep(_POLL_SECONDS)
