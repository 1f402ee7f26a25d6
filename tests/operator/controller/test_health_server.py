"""What a probe of Kubernetes is answered, on every address."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from detnas.errors import UserError
from detnas_operator.controller.health import UnhealthyError, serve_health
from detnas_operator.telemetry import addresses
from detnas_operator.telemetry.metrics import Metrics
from tests.ports import free_ports


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HOSTS = [
    "127.0.0.1",
    pytest.param(
        "[::1]", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
    ),
]


def ask(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("host", HOSTS)
def test_health_server_reports_the_queue(host: str) -> None:
    (port,) = free_ports(1)
    with serve_health(port, lambda: {"searches": 3}):
        assert ask(f"http://{host}:{port}/healthz") == (200, {"queue": {"searches": 3}})
        assert ask(f"http://{host}:{port}/else")[0] == 404


def test_health_server_reports_the_problem() -> None:
    def stuck() -> dict[str, int | float]:
        raise UnhealthyError("the work queue last turned 61 s ago")

    (port,) = free_ports(1)
    with serve_health(port, stuck):
        status, said = ask(f"http://127.0.0.1:{port}/healthz")
    assert (status, said) == (500, {"problem": "the work queue last turned 61 s ago"})


def test_health_server_names_a_taken_port_and_reuses_a_freed_one() -> None:
    (port,) = free_ports(1)
    for _ in range(2):
        with serve_health(port, dict):
            ask(f"http://127.0.0.1:{port}/healthz")
            with pytest.raises(UserError, match=f"health.port {port}"), serve_health(port, dict):
                pass


@pytest.mark.parametrize("host", HOSTS)
def test_metrics_are_served_on_every_address(host: str) -> None:
    (port,) = free_ports(1)
    end = Metrics().serve(port)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
            assert answer.status == 200
    finally:
        end()


def test_health_server_serves_ipv4_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", refuse)
        assert addresses.all_addresses() == "0.0.0.0"
