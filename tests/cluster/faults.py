"""What can go wrong with a call on its way, and a journal of the calls that were made."""

import json
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

WRITING = ("DELETE", "PATCH", "POST", "PUT")
REVIEWS = ("apis/authentication.k8s.io/", "apis/authorization.k8s.io/")  # posts that only ask


@dataclass(eq=False, slots=True)
class Call:
    """One request that came by.

    Attributes:
        server: the name of the proxy it came to, such as ``api`` or ``s3``.
        path: without the query, as it was sent.
        body: as it was sent.
        status: what was answered; None while it is under way, and where no answer was given.
        number: its place among all writes, from 1; 0 for what only reads.
        fault: what was made to go wrong.
    """

    server: str
    method: str
    path: str
    query: str = ""
    body: bytes = b""
    status: int | None = None
    number: int = 0
    fault: "Fault | None" = None

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method in WRITING and not self.path.lstrip("/").startswith(REVIEWS)

    @property
    def is_watch(self) -> bool:
        """Whether its answer is a stream of events."""
        return self.method == "GET" and "watch=" in self.query

    @property
    def is_event(self) -> bool:
        """Whether it reports an Event, which nobody waits for."""
        return self.path.rpartition("/")[2] == "events"

    @property
    def content(self) -> Any:
        """The body, from JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def what(self) -> Hashable:
        """Equal for calls that write the same thing: a new object is named by its body."""
        content = self.content if self.method == "POST" else None
        metadata = content.get("metadata", {}) if isinstance(content, dict) else {}
        return self.server, self.method, self.path, metadata.get("name", "")


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a status, without forwarding: 409, 429, 500 or any other, in these words."""

    status: int
    message: str = "injected by a test"


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Forward, and drop the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Do something, such as killing the caller, after (or before) forwarding; answer nothing."""

    action: Callable[[], object]
    before: bool = False


Fault = Refuse | LoseAnswer | Interrupt
Rule = Callable[[Call], Fault | None]
FAULTS: dict[str, Fault] = {
    "conflict": Refuse(409),
    "too many requests": Refuse(429),
    "server error": Refuse(500),
    "answer lost": LoseAnswer(),
}


@dataclass(eq=False)
class Journal:
    """The calls of one or several proxies in order, and what shall go wrong with the next ones."""

    rule: Rule = lambda call: None
    calls: list[Call] = field(default_factory=list)
    _writes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, call: Call) -> Fault | None:
        """Note a call that has come; return what shall go wrong with it."""
        with self._lock:
            if call.is_write:
                self._writes += 1
                call.number = self._writes
            self.calls.append(call)
            call.fault = self.rule(call)
        return call.fault

    def writes(self, server: str = "") -> list[Call]:
        """The writes so far, Events aside; of one proxy, or of all."""
        return [
            call
            for call in list(self.calls)
            if call.is_write and not call.is_event and server in ("", call.server)
        ]

    def store_keys(self) -> set[str]:
        """Buckets with the keys, or the listed prefixes, of all calls of the proxy ``s3``."""
        return {_key(call) for call in list(self.calls) if call.server == "s3"}

    def faulted(self) -> list[Call]:
        """The calls with which something was made to go wrong."""
        return [call for call in list(self.calls) if call.fault]


def _key(call: Call) -> str:
    path = unquote(call.path).strip("/")
    prefix = parse_qs(call.query).get("prefix", [""])[0]
    return f"{path}/{prefix}" if prefix else path


def at_write(number: int, fault: Fault) -> Rule:
    """Let something go wrong with the n-th write, from 1, Events included."""
    return lambda call: fault if call.number == number else None


def at_first_of_every_write(fault: Fault) -> Rule:
    """Let something go wrong the first time that each thing is written."""
    seen: set[Hashable] = set()

    def rule(call: Call) -> Fault | None:
        if not call.is_write or call.what in seen:
            return None
        seen.add(call.what)
        return fault

    return rule
