"""The operator's process with a trace of its passes: for what a Job that has ended waits.

`main` is the operator's command line. Beside its log it writes `trace.jsonl`, a line for each Job
whose end it observed and for each pass that created a Job. Times are those of the monotonic clock,
which all processes of a machine share.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from detnas_operator.cli import main as operator_main
from detnas_operator.cluster.connection import Answer, Connection, Request
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.controller.watching import EventHandlers
from detnas_operator.queue.schedule import Requeue
from detnas_operator.reconcile.reconciler import Reconciler
from detnas_operator.tenant_store.reachability import Reachability

TRACE = "trace.jsonl"


class _Pass(threading.local):
    """The pass on this thread: when it began, and its seconds and requests so far, by server."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin another pass."""
        self.begun = time.monotonic()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.requests: Counter[str] = Counter()

    @contextmanager
    def request(self, server: str) -> Iterator[None]:
        """Count a request, made in the block."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[server] += time.monotonic() - begun
            self.requests[server] += 1


def main(arguments: list[str]) -> int:
    """Run the operator in the current folder; return its exit code."""
    done = _Pass()
    with (
        Path(TRACE).open("a", buffering=1) as file,
        patch.object(EventHandlers, "job", _observing(EventHandlers.job, file.write)),
        patch.object(Connection, "send", _sending(Connection.send, done, file.write)),
        patch.object(Reachability, "request", _reaching(Reachability.request, done)),
        patch.object(Reconciler, "reconcile", _passing(Reconciler.reconcile, done)),
    ):
        return operator_main(arguments)


def _observing(
    handle: Callable[[EventHandlers, str, Any], None], write: Callable[[str], object]
) -> Callable[[EventHandlers, str, Any], None]:
    def observe(self: EventHandlers, change: str, body: Any) -> None:
        conditions = body.get("status", {}).get("conditions", ())
        if any(one["type"] == "Complete" for one in conditions):
            write(_line(ended=body["metadata"]["name"], at=time.monotonic()))
        handle(self, change, body)

    return observe


def _sending(
    send: Callable[[Connection, Request], Answer], done: _Pass, write: Callable[[str], object]
) -> Callable[[Connection, Request], Answer]:
    def measured(self: Connection, request: Request) -> Answer:
        with done.request("api"):
            answer = send(self, request)
        if request.method == "POST" and request.path.endswith("/jobs") and answer.status < 300:
            name, at = answer.json()["metadata"]["name"], time.monotonic()
            spent = {"seconds": done.seconds, "requests": done.requests}
            write(_line(started=name, at=at, begun=done.begun, **spent))
        return answer

    return measured


def _reaching(request: Callable[[Reachability], Any], done: _Pass) -> Any:
    @contextmanager
    def measured(self: Reachability) -> Iterator[None]:
        with done.request("s3"), request(self):
            yield

    return measured


def _passing(
    reconcile: Callable[[Reconciler, SearchKey], Requeue], done: _Pass
) -> Callable[[Reconciler, SearchKey], Requeue]:
    def measured(self: Reconciler, key: SearchKey) -> Requeue:
        done.begin()
        return reconcile(self, key)

    return measured


def _line(**fields: Any) -> str:
    return json.dumps(fields) + "\n"
