"""The process of a node: it meets the others, watches over its processes, and ends as all do."""

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
from detnas_trainer.jobs.logs import set_up_logging, write_termination_message
from detnas_trainer.launching.agent import FINAL, Agent, exit_code
from detnas_trainer.launching.nodes import Nodes, nodes_from_environment
from detnas_trainer.launching.peers import (
    ENDED,
    LOST_KEYS,
    STOP,
    News,
    Peers,
    RendezvousError,
    meet,
)
from detnas_trainer.training.interruption import (
    leaving_at_once,
    patience_from_environment,
)

_BEAT = 1.0
_LOOK = 0.2
_GOODBYE = 10.0
"""Seconds that processes get to end, and nodes to say goodbye, once rank 0 has ended."""

_FAILED = 1
_USAGE = 2

log = logging.getLogger("detnas_trainer")


def launch(verb: str, uri: str) -> int:
    """Run this node's part of a job; see the package for what that is today.

    Returns:
        The exit code, as `detnas_trainer.jobs.run` has it; 75 also where the nodes did not meet,
        or one was lost. The caller should leave the process with it at once.
    """
    set_up_logging()
    with leaving_at_once():
        try:
            nodes = nodes_from_environment()
            folder = open_folder(verb, uri)
            if folder.outcome() is not None:
                return _say("the result was there already", 0)
            log.info("node %d of %d waits for the others", nodes.index, nodes.count)
            peers = meet(nodes, lambda: _has_result(folder))
        except StoreError as error:
            return _say(f"error: {error}", _FAILED)
        except UserError as error:
            return _say(f"error: {error}", _USAGE)
        except RendezvousError as error:
            return _say(f"rendezvous: {error}", ExitCode.INTERRUPTED)
        if peers is None:
            return _say("the result has come meanwhile", 0)
        return Launcher(nodes, Pulse(peers, nodes), Agent(nodes, verb, uri)).run()


def _has_result(folder: JobFolder[Any]) -> bool:
    with contextlib.suppress(StoreError):  # it is only looked at in passing
        return folder.outcome() is not None
    return False


def _say(line: str, code: int) -> int:
    log.log(logging.ERROR if code else logging.INFO, "%s", line)
    write_termination_message(line)
    return code


class Pulse:
    """The heartbeat, in a thread: a network that swallows it must not make the launcher wait."""

    def __init__(self, peers: Peers, nodes: Nodes) -> None:
        self._peers = peers
        self._patience = nodes.peer_seconds
        self._words: dict[str, str] = {}
        self._leaving = False
        self._heard = time.monotonic()
        self._unreachable = False
        self.news = News()

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._beat, daemon=True).start()

    def say(self, key: str, value: str) -> None:
        """Let everyone know with the next beat."""
        self._words.setdefault(key, value)

    def leave(self) -> None:
        """Say goodbye with the next beat."""
        self._leaving = True

    @property
    def unreachable(self) -> bool:
        """Whether the keys, and rank 0 with them, are out of reach."""
        return self._unreachable or time.monotonic() - self._heard > self._patience

    def _beat(self) -> None:
        try:
            while True:
                for key, value in list(self._words.items()):
                    self._peers.say(key, value)
                if self._leaving:
                    self._peers.leave()
                self.news = self._peers.beat()
                self._heard = time.monotonic()
                time.sleep(_LOOK if self._leaving or self._words else _BEAT)
        except LOST_KEYS as error:
            log.info("node 0 is out of reach: %s", str(error).splitlines()[0])
            self._unreachable = True


@dataclass
class Launcher:
    """Watches until this node's processes have ended, or need not be waited for."""

    nodes: Nodes
    pulse: Pulse
    agent: Agent
    _asked: bool = False
    _reason: str | None = None
    _limits: dict[str, float] = field(default_factory=dict)

    def run(self) -> int:
        """Start the processes and return the exit code, when this node is done."""
        signal.signal(signal.SIGTERM, self._ask)
        self.pulse.start()
        self.agent.start()
        while not self.agent.wait(_LOOK) and not self._late():
            self._look()
        self._part(self._code())
        code = self._code()  # what another node said last may have come only now
        if code == ExitCode.INTERRUPTED:
            write_termination_message(f"Interrupted: {self._reason or 'rank 0 wants to resume'}")
        return code

    def _code(self) -> int:
        stopping = self._reason is not None
        return exit_code(self.pulse.news.ended, self.agent.code, stopping=stopping)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def _look(self) -> None:
        news = self.pulse.news
        if self._asked:
            self._stop(f"node {self.nodes.index} was asked to stop")
        elif news.lost is not None:
            self._stop(f"node {news.lost} was lost")
        elif news.stop:
            self._stop(news.stop)
        elif self.pulse.unreachable and news.ended is None:
            self._stop("node 0 was lost")
        if news.ended is not None:
            self._limits.setdefault("ended", time.monotonic() + _GOODBYE)

    def _stop(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            log.warning("%s: all nodes stop, and resume from the checkpoint", reason)
            self.pulse.say(STOP, reason)
            # Only rank 0 has something to save; without its keys nobody hears of it.
            alone = self.pulse.unreachable and self.nodes.index
            patience = 0.0 if alone else patience_from_environment() + _GOODBYE / 2
            self._limits["stop"] = time.monotonic() + patience

    def _late(self) -> bool:
        return any(time.monotonic() > limit for limit in self._limits.values()) or (
            self._reason is not None and self.pulse.unreachable and self.nodes.index != 0
        )

    def _part(self, code: int) -> None:
        """Tell the others, and let node 0 hold the keys until they have heard it."""
        if code in FINAL:
            self.pulse.say(ENDED, str(code))
        elif code not in (0, ExitCode.INTERRUPTED):
            self.pulse.say(STOP, f"node {self.nodes.index} failed")
        self.pulse.leave()
        until = time.monotonic() + _GOODBYE
        waits_for = self.nodes.count - 1 if self.nodes.index == 0 else 1
        while time.monotonic() < until and not self.pulse.unreachable:
            if self.pulse.news.left >= waits_for:
                return
            time.sleep(_LOOK)
