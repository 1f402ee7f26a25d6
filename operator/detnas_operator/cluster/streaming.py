"""Streams of changes from the API server: one connection for each collection."""

import asyncio
import json
import random
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

import aiohttp
from pydantic_core import from_json

from detnas_operator.cluster.connection import CONNECT_SECONDS, Answer, Connection, Request
from detnas_operator.cluster.error_answers import error_from
from detnas_operator.cluster.errors import Expired, TooLarge, Unavailable
from detnas_operator.cluster.kinds import KINDS
from detnas_operator.cluster.objects import Object

STREAM_SECONDS = (240, 360)
"""The server ends a stream after a time between these, so that not all end at once."""
SILENT_SECONDS = 75.0
"""A server sends something every minute: one that sends nothing for longer is unreachable."""
MAX_LINE_BYTES = 8 << 20
"""Bytes of one change; an object that the API server takes has at most three million."""
OPENING = 16
"""Streams that are opened concurrently; there may be thousands."""
_READ = 1 << 14
_REFUSAL = 1 << 16

# asyncio reads TLS into a buffer of 256 KiB for each connection: 500 MB for two thousand, which are
# idle nearly all of the time.
SSLProtocol.max_size = _READ


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an object.

    Attributes:
        kind: ADDED, MODIFIED, DELETED, or BOOKMARK where only the version advanced.
        object: as it is, or last was; for a bookmark its version alone.
    """

    kind: str
    object: Object

    @property
    def version(self) -> str:
        """The resourceVersion after which a new stream continues."""
        return str(self.object["metadata"].get("resourceVersion", ""))


class Streams:
    """Opens streams; an asynchronous context manager for one event loop.

    Args:
        connection: whose server, trust and credentials are used.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Semaphore(OPENING)

    async def __aenter__(self) -> Self:
        # Streams share only the TLS context: thousands may be open.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_trust(self._connection)),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
            ),
            read_bufsize=_READ,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def changes(
        self,
        kind: str,
        namespace: str | None,
        since: str,
        slim: Callable[[Object], Object | None],
    ) -> AsyncIterator[Change]:
        """Yield what happens to the objects of a namespace (None: of all) until the server ends.

        Args:
            kind: plural.
            since: version that was listed or seen last.
            slim: returns what to retain of an object; None for one of no interest, of which only
                the version is yielded.

        Raises:
            Expired: the server no longer knows what happened since then.
            ClusterError: it refuses, fails, or stops sending.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(random.randint(*STREAM_SECONDS)),
        }
        request = Request("GET", KINDS[kind].path(namespace), query)
        what = f"watch {kind} of {namespace or 'all namespaces'}"
        try:
            async for line in self._lines(request, what):
                yield _change(line, slim, request, what)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = f"{what}: no answer from the API server ({error or 'it sends nothing'})"
            raise Unavailable(problem, "check the network and that it runs") from error

    async def _lines(self, request: Request, what: str) -> AsyncIterator[bytes]:
        assert self._session is not None
        connection = self._connection
        async with self._opening:
            answer = await self._session.get(
                f"{connection.server}{request.target}",
                headers=connection.headers(request.content_type),
                proxy=connection.proxy,
            )
        async with answer:
            if answer.status != 200:
                body = await answer.content.read(_REFUSAL)
                raise _refusal(Answer(answer.status, answer.headers, body), request, what)
            begun = bytearray()
            async for data in answer.content.iter_any():
                begun += data
                if b"\n" in data:
                    *lines, rest = begun.split(b"\n")
                    begun = rest
                    for line in filter(None, lines):
                        yield bytes(line)
                elif len(begun) > MAX_LINE_BYTES:
                    problem = f"{what}: a change has more than {MAX_LINE_BYTES} bytes"
                    raise TooLarge(problem, "remove large annotations from the objects there")


def _change(
    line: bytes, slim: Callable[[Object], Object | None], request: Request, what: str
) -> Change:
    try:
        change = from_json(line)
        kind, body = change["type"], change["object"]
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{what}: the API server's answer is no stream of changes"
        raise Unavailable(problem, "check proxies in between") from error
    if kind == "ERROR":
        answer = Answer(int(body.get("code") or 500), {}, json.dumps(body).encode())
        raise _refusal(answer, request, what)
    kept = None if kind == "BOOKMARK" else slim(body)
    if kept is None:
        version = body["metadata"].get("resourceVersion", "")
        return Change("BOOKMARK", {"metadata": {"resourceVersion": version}})
    return Change(kind, kept)


def _refusal(answer: Answer, request: Request, what: str) -> Exception:
    if answer.status == 410:
        return Expired(f"{what}: what happened since is no longer known", status=410)
    return error_from(answer, request, what)


def _trust(connection: Connection) -> ssl.SSLContext | bool:
    configuration = connection.configuration
    if not str(configuration.host).startswith("https"):
        return True
    trust = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        trust.load_cert_chain(configuration.cert_file, configuration.key_file)
    return trust
