"""Credentials that a client exchanges for a token, as pods with a workload identity do."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detnas.store.s3 import S3Store

ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>TEMPORARY</AccessKeyId>
<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>{until}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class Server(ThreadingHTTPServer):
    """Exchanges tokens, and has every object.

    Attributes:
        until: when the credentials expire.
        exchanged: how many tokens were exchanged.
        authorizations: of the requests for objects.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.until = "2099-01-01T00:00:00Z"
        self.exchanged = 0
        self.authorizations: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.exchanged += 1
        self._answer(ANSWER.format(until=self.server.until).encode())

    def do_GET(self) -> None:
        self.server.authorizations.append(self.headers["Authorization"])
        self._answer(b"{}")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 15:00:00 GMT")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/detnas")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with Server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_store_uses_the_credentials_for_a_token_until_they_expire(server: Server) -> None:
    store = S3Store("bucket", "prefix")
    assert [store.get(key) for key in ("a", "b")]
    assert server.exchanged == 1
    assert all("Credential=TEMPORARY/" in one for one in server.authorizations)


def test_store_exchanges_the_token_again_before_the_credentials_expire(server: Server) -> None:
    server.until = f"{datetime.now(UTC) + timedelta(minutes=12):%Y-%m-%dT%H:%M:%SZ}"
    store = S3Store("bucket", "prefix")
    assert [store.get(key) for key in ("a", "b")]
    assert server.exchanged > 1  # in the last quarter of an hour
