"""A stream of changes: cut anywhere, refused, ended with an error, silent, or too long."""

import asyncio
import json
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web
from kubernetes.client import Configuration

from detnas_operator.cluster import ClusterError, NotFound, Refused, TooManyRequests, Unavailable
from detnas_operator.cluster.connection import Connection
from detnas_operator.cluster.errors import Expired, TooLarge
from detnas_operator.cluster.slimming import slim_own_job
from detnas_operator.cluster.streaming import MAX_LINE_BYTES, Change, Streams
from tests.operator.cluster.test_cache import job


def line(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def status(code: int) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "message": "the server's words", "reason": "Because"}


Seen = list[Change]


def stream(
    pieces: Sequence[bytes], code: int = 200, *, hangs: bool = False
) -> tuple[Seen, ClusterError | None, list[web.Request]]:
    """Read what a server says in pieces; return it, how it ended, and what was asked."""
    seen: Seen = []
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        response = web.StreamResponse(status=code)
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        if hangs:
            await asyncio.sleep(30)
        return response

    async def read() -> ClusterError | None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        configuration = Configuration(host=f"http://{host}:{port}")
        configuration.no_proxy = "127.0.0.1"
        try:
            async with Streams(Connection(configuration)) as streams:
                async for change in streams.changes("jobs", "team", "7", slim_own_job):
                    seen.append(change)
        except ClusterError as error:
            return error
        finally:
            await runner.cleanup()
        return None

    return seen, asyncio.run(read()), asked


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_stream_yields_slim_changes_however_the_bytes_are_cut(size: int) -> None:
    whole = (
        line("ADDED", job("a", 8))
        + line("MODIFIED", job("a", 9))
        + line("BOOKMARK", {"metadata": {"resourceVersion": "12", "annotations": {"k": "v"}}})
        + line("DELETED", job("a", 13))
    )
    seen, error, asked = stream([whole[at : at + size] for at in range(0, len(whole), size)])
    assert error is None
    kinds = ["ADDED", "MODIFIED", "BOOKMARK", "DELETED"]
    assert [(one.kind, one.version) for one in seen] == list(
        zip(kinds, ["8", "9", "12", "13"], strict=True)
    )
    assert all("template" not in one.object.get("spec", {}) for one in seen)
    assert asked[0].path == "/apis/batch/v1/namespaces/team/jobs"
    query = dict(asked[0].query)
    assert 240 <= int(query.pop("timeoutSeconds")) <= 360
    assert query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [(410, Expired), (403, Refused), (404, NotFound), (429, TooManyRequests), (500, Unavailable)],
)
@pytest.mark.parametrize("begun", [False, True], ids=["at once", "later"])
def test_stream_raises_the_error_of_a_refusal(
    code: int, kind: type[ClusterError], begun: bool
) -> None:
    if begun:
        seen, error, _ = stream([line("ADDED", job("a", 8)), line("ERROR", status(code))])
    else:
        seen, error, _ = stream([json.dumps(status(code)).encode()], code)
    assert len(seen) == begun
    assert type(error) is kind
    assert "watch jobs of team" in str(error)


def test_stream_treats_other_content_as_unavailable() -> None:
    assert type(stream([b"<html>\n"])[1]) is Unavailable
    assert type(stream([b'{"kind": "Status"}\n'])[1]) is Unavailable


def test_stream_refuses_a_change_that_is_too_large() -> None:
    seen, error, _ = stream([b"x" * (1 << 20)] * (MAX_LINE_BYTES // (1 << 20) + 2))
    assert (seen, type(error)) == ([], TooLarge)


def test_stream_connection_has_small_buffers() -> None:
    """Of two thousand streams each has its own; Python's are of 256 KiB."""

    async def made() -> SSLProtocol:
        loop = asyncio.get_running_loop()
        trust, waiter = ssl.create_default_context(), loop.create_future()
        return SSLProtocol(loop, asyncio.Protocol(), trust, waiter, server_hostname="example.org")

    parts = vars(asyncio.run(made())).values()
    assert sum(sys.getsizeof(part) for part in parts if isinstance(part, bytearray)) < 20_000


def test_stream_ends_when_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detnas_operator.cluster.streaming.SILENT_SECONDS", 0.3)
    seen, error, _ = stream([line("ADDED", job("a", 8))], hangs=True)
    assert len(seen) == 1
    assert type(error) is Unavailable
