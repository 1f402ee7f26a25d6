"""A proxy before the API server or the S3 server, that notes every call and lets some go wrong.

It listens without TLS and forwards everything as it came, the caller's token and the Host header
(which S3's signatures cover) among it. Watches pass through unbuffered.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.cluster.faults import Call, Fault, Interrupt, Journal, Refuse
from tests.ports import free_ports

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1 << 30
# Of one connection only; aiohttp has answered what Expect asks for.
OWN_TO_A_CONNECTION = ("Connection", "Expect", "Keep-Alive", "TE", "Transfer-Encoding", "Upgrade")
REASONS = {403: "Forbidden", 409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}
S3_CODES = {409: "OperationAborted", 429: "SlowDown", 500: "InternalError"}


class FaultProxy:
    """A proxy that is open as a context.

    Args:
        upstream: the server's address, ``http://…`` or ``https://…``.
        ca: the certificate to verify it by.
        name: what the journal calls it; with ``s3`` refusals are in S3's words.
        journal: may be shared with another proxy, so that their writes count together.

    Attributes:
        url: where it listens.
        held: watches that were silenced when they had something to say.
    """

    def __init__(
        self,
        upstream: str,
        ca: Path | None = None,
        name: str = "api",
        journal: Journal | None = None,
    ) -> None:
        self.name = name
        self.journal = journal or Journal()
        self._upstream = upstream
        self._tls = ssl.create_default_context(cafile=ca) if ca else True
        self._silent = False
        self.held = 0
        (self._port,) = free_ports(1)  # one that nobody takes while we are down
        self.url = f"http://{HOST}:{self._port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=f"{name} proxy", daemon=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def go_down(self) -> None:
        """Close the port and cut every connection."""
        self._do(self._down())

    def come_up(self) -> None:
        """Listen again, on the same port."""
        self._do(self._listen())

    def silence_watches(self) -> None:
        """Hold every watch without data, those that are open and those that will be."""
        self._silent = True

    def let_watches_speak(self) -> None:
        """Let new watches work again; those that were silent stay so, as on a dead connection."""
        self._silent = False

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        self._closing = asyncio.Event()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=None, connect=30),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
        )
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=0,
            auto_decompress=False,
        )
        await self._runner.setup()
        await self._listen()

    async def _close(self) -> None:
        self._closing.set()
        self._cut_all()
        await self._runner.cleanup()
        await self._session.close()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, HOST, self._port, reuse_address=True)
        await self._site.start()

    async def _down(self) -> None:
        await self._site.stop()
        self._cut_all()

    def _cut_all(self) -> None:
        assert self._runner.server
        for connection in self._runner.server.connections:
            if connection.transport:
                connection.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        body = await request.read()
        call = Call(self.name, request.method, path, query, body)
        fault = self.journal.enter(call)
        if isinstance(fault, Refuse):
            call.status = fault.status
            return self._refusal(call, fault.message)
        if isinstance(fault, Interrupt) and fault.before:
            fault.action()
            return self._cut(request)
        try:
            async with self._forwarded(request, body) as answer:
                if fault:
                    await answer.read()
                    return self._carry_out(fault, request)
                call.status = answer.status
                return await self._pass_on(call, request, answer)
        except aiohttp.ClientError:  # the server is being restarted
            return self._cut(request)

    @contextlib.asynccontextmanager
    async def _forwarded(
        self, request: web.Request, body: bytes
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        headers = _without_own(request.headers)
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            yield answer

    async def _pass_on(
        self, call: Call, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        passed = web.StreamResponse(status=answer.status, headers=_without_own(answer.headers))
        await passed.prepare(request)
        async for chunk in answer.content.iter_any():
            if call.is_watch and self._silent:
                self.held += 1
                await self._closing.wait()  # or until the caller gives up
            await passed.write(chunk)
        await passed.write_eof()
        return passed

    def _carry_out(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        if isinstance(fault, Interrupt):
            fault.action()
        return self._cut(request)

    def _cut(self, request: web.Request) -> web.StreamResponse:
        if request.transport:
            request.transport.abort()
        return web.Response(status=502)  # nobody gets it

    def _refusal(self, call: Call, message: str) -> web.Response:
        status = call.status or 500
        headers = {"Retry-After": "1"} if status == 429 else {}
        if self.name == "s3":
            text = f"<Error><Code>{S3_CODES[status]}</Code><Message>{message}</Message></Error>"
            return web.Response(status=status, text=text, content_type="text/xml", headers=headers)
        body = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": status,
            "reason": REASONS.get(status, "Unknown"),
            "message": message,
        }
        return web.json_response(body, status=status, headers=headers)


def _without_own(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    for name in OWN_TO_A_CONNECTION:
        kept.popall(name, None)
    return kept
