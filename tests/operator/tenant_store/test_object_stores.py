"""obstore reaches the server that boto3 does, or is not used."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import botocore.session
import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from detnas.store.s3_client import Patience, make_client
from detnas_operator.tenant_store.object_stores import ObjectStores

PATIENCE = Patience(connect=2, read=5)


class Server(ThreadingHTTPServer):
    """Has every object; remembers what was requested, and by which keys."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.authorizations: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.authorizations.append(self.headers["Authorization"])
        self.send_response(200)
        for name, value in {
            "Content-Length": "5",
            "ETag": '"1"',
            "Last-Modified": "Sun, 29 Nov 2026 15:00:00 GMT",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_PROFILE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for scheme in ("HTTP", "HTTPS", "NO"):
        monkeypatch.delenv(f"{scheme}_PROXY", raising=False)
        monkeypatch.delenv(f"{scheme}_PROXY".lower(), raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "first",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def store_of(bucket: str) -> S3Store | None:
    session = botocore.session.get_session()
    return ObjectStores(session, make_client(session, PATIENCE, 1), PATIENCE).of(bucket)


def read(bucket: str = "lab") -> bytes:
    store = store_of(bucket)
    assert store is not None
    return obstore.get(store, "key").bytes().to_bytes()


@pytest.mark.parametrize(
    ("variables", "bucket", "endpoint"),
    [
        ({}, "lab", "https://lab.s3.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "lab", "https://lab.s3-fips.eu-west-1.amazonaws.com"),
        (
            {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "lab",
            "https://lab.s3.dualstack.eu-west-1.amazonaws.com",
        ),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, "lab", "http://minio:9000"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, "a.dotted.bucket", "http://minio:9000"),
    ],
)
def test_store_has_the_endpoint_of_boto3(
    environment: pytest.MonkeyPatch, variables: dict[str, str], bucket: str, endpoint: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    store = store_of(bucket)
    assert store is not None
    assert store.config.get("endpoint") == endpoint
    assert store.config.get("region") == "eu-west-1"


@pytest.mark.parametrize(
    "bucket", ["a.dotted.bucket", "lab--euw1-az1--x-s3", "arn:aws:s3:eu-west-1:1234:accesspoint/a"]
)
@pytest.mark.usefixtures("environment")
def test_bucket_that_aws_serves_in_another_way_is_left_to_boto3(bucket: str) -> None:
    assert store_of(bucket) is None


def test_renewed_keys_are_used(environment: pytest.MonkeyPatch, server: Server) -> None:
    environment.setenv("AWS_ENDPOINT_URL", f"http://{server.address}")
    session = botocore.session.get_session()
    stores = ObjectStores(session, make_client(session, PATIENCE, 1), PATIENCE)
    before = stores.credentials()
    session.set_credentials("second", "secret", "token")
    after = stores.credentials()
    assert (before["access_key_id"], after["access_key_id"]) == ("first", "second")
    store = stores.of("lab")
    assert store is not None
    obstore.get(store, "key")
    assert "Credential=second/" in server.authorizations[0]


@pytest.mark.parametrize(
    ("direct", "paths"),
    [
        ("", ["http://s3.internal:9000/lab/key"]),
        (".internal", []),
        ("s3.internal:9000", []),  # obstore's own rules know no port
    ],
)
def test_store_uses_the_proxy_that_boto3_uses(
    environment: pytest.MonkeyPatch, server: Server, direct: str, paths: list[str]
) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "http://s3.internal:9000")
    environment.setenv("HTTP_PROXY", f"http://{server.address}")
    environment.setenv("NO_PROXY", direct)
    if direct:
        with pytest.raises(BaseError):  # there is no such host
            read()
    else:
        assert read() == b"hello"
    assert server.paths == paths


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's certificate, and one of 127.0.0.1 that it signed."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    sign = "openssl x509 -req -in request -days 2 -extfile names"
    new = "openssl req -newkey rsa:2048 -nodes -subj /CN=test"
    for command in (
        f"{new} -x509 -days 2 -keyout ca.key -out ca.pem",
        f"{new} -keyout key.pem -out request",
        f"{sign} -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def test_store_trusts_the_bundle_of_boto3_or_is_not_used(
    environment: pytest.MonkeyPatch, server: Server, certificates: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    environment.setenv("AWS_ENDPOINT_URL", f"https://{server.address}")
    with pytest.raises(BaseError):
        read()
    environment.setenv("AWS_CA_BUNDLE", str(certificates / "ca.pem"))
    assert store_of("lab") is None
    environment.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    assert read() == b"hello"
