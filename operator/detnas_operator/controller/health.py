"""Whether this process still works, and the thread that reports it as ``/healthz``.

The server has a thread of its own, so that it also reports a stuck event loop.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import ClassVar

from detnas.errors import UserError
from detnas_operator.queue.work_queue import QueueState
from detnas_operator.telemetry.addresses import ALL, all_addresses

MAX_HEARTBEAT_SECONDS = 60.0
MAX_STUCK_SECONDS = 600.0
PATH = "/healthz"
Health = Callable[[], Mapping[str, int | float]]
"""Returns the figures of the process, or raises `UnhealthyError`."""


class UnhealthyError(RuntimeError):
    """The process will not recover by itself: Kubernetes must restart it."""


def check_health(queue: QueueState) -> dict[str, int | float]:
    """Return the figures that ``/healthz`` shows.

    Raises:
        UnhealthyError: the event loop is stuck, or a pass will never end.
    """
    if queue.heartbeat_age > MAX_HEARTBEAT_SECONDS:
        problem = f"the work queue's loop last ran {queue.heartbeat_age:.0f} s ago"
        raise UnhealthyError(f"{problem}; {MAX_HEARTBEAT_SECONDS:.0f} s is the limit")
    if queue.oldest_pass > MAX_STUCK_SECONDS:
        problem = f"a pass has been running for {queue.oldest_pass:.0f} s"
        raise UnhealthyError(f"{problem}; {MAX_STUCK_SECONDS:.0f} s is the limit")
    return {
        "searches": queue.keys,
        "waiting": queue.depth,
        "oldestWaitSeconds": round(queue.oldest_wait, 3),
        "running": queue.running,
        "oldestPassSeconds": round(queue.oldest_pass, 3),
    }


@contextmanager
def serve_health(port: int, health: Health) -> Iterator[None]:
    """Answer ``GET /healthz`` on all addresses: 200 with figures, or 500 with what is wrong.

    Raises:
        UserError: something else listens on the port.
    """
    try:
        server = _Server(port, health)
    except OSError as error:
        problem = f"health.port {port} cannot be used ({error.strerror})"
        raise UserError(problem, "choose one that nothing listens on") from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingTCPServer):
    """Not http.server's: that one asks the DNS for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, health: Health) -> None:
        self.health = health
        address = all_addresses()
        self.address_family = socket.AF_INET6 if address == ALL else socket.AF_INET
        super().__init__((address, port), _Answer)


class _Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    timeout: ClassVar[float] = 10.0  # of a client that sends nothing

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._send(404, {"problem": f"only {PATH} is served"})
            return
        try:
            self._send(200, {"queue": dict(self.server.health())})
        except UnhealthyError as error:
            self._send(500, {"problem": str(error)})

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: probes come every few seconds."""
