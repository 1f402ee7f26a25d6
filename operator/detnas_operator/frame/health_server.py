"""Serves ``/healthz`` from a thread of its own, so that a stuck event loop is told of as well."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import ClassVar

from detnas.errors import UserError
from detnas_operator.frame.health import UnhealthyError
from detnas_operator.telemetry.addresses import ALL, all_addresses

PATH = "/healthz"
Health = Callable[[], Mapping[str, int | float]]
"""Says how the process is, or raises what is wrong with it."""


@contextmanager
def serve_health(port: int, health: Health) -> Iterator[None]:
    """Answer ``GET /healthz`` on all addresses: 200 with figures, or 500 with what is wrong.

    Raises:
        UserError: something else listens on the port.
    """
    try:
        server = _Server(port, health)
    except OSError as error:
        problem = f"health.port {port} can not be used ({error.strerror})"
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
    timeout: ClassVar[float] = 10.0  # of a client that says nothing

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._say(404, {"problem": f"only {PATH} is served"})
            return
        try:
            self._say(200, {"queue": dict(self.server.health())})
        except UnhealthyError as error:
            self._say(500, {"problem": str(error)})

    def _say(self, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""
