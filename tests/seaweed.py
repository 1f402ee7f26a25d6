"""A real S3 server for tests: fixture ``s3_server`` starts one, ``s3_environment`` points at it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.ports import free_ports

BUCKET = "experiments"
REGION = "us-east-1"
NO_RETRIES = {"total_max_attempts": 1}
START_SECONDS = 60
SERVICES = ("master", "volume", "filer", "s3", "admin")

DIE_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    PR_SET_PDEATHSIG, SIGKILL = 1, 9
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server with one bucket, and the credentials it accepts."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    ports: tuple[int, ...]

    def seen_by(self, tenant: str) -> "S3Server":
        """The same server with the keys of a tenant that it was started with."""
        return replace(self, access_key=f"key-{tenant}", secret_key=f"secret-{tenant}")

    def environment(self) -> dict[str, str]:
        """The variables a user would set to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, endpoint: str = "", **config: Any) -> Any:
        """A client with fields of botocore's configuration, by way of another address if given."""
        return boto3.client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(s3={"addressing_style": "path"}, **config),
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server of this worker's own; it dies with it."""
    with running_server(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with the environment of this test pointing at it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return s3_server


@contextlib.contextmanager
def running_server(
    folder: Path, tenants: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[S3Server]:
    """Start a server that keeps its data in ``folder``, and stop it afterwards.

    ``tenants`` have keys besides the server's own, which may do what a policy in the form of AWS's
    IAM says, and nothing else.
    """
    for attempt in range(3):  # another process may take a port between our look and its use
        process, server = start(folder / str(attempt), tenants or {})
        try:
            if answers(process, server):
                yield server
                return
        finally:
            process.kill()
            process.wait()
            remove_sockets(server.ports)
    log = (folder / "2" / "log.txt").read_text(errors="replace")
    pytest.fail(f"the S3 server did not start:\n{log[-3000:]}")


def start(
    folder: Path, tenants: Mapping[str, Mapping[str, Any]]
) -> tuple[subprocess.Popen[bytes], S3Server]:
    """Start ``weed mini`` on free ports, with only the services that S3 needs."""
    data = folder / "data"
    data.mkdir(parents=True)
    ports = free_ports(2 * len(SERVICES))
    endpoint = f"http://127.0.0.1:{ports[2 * SERVICES.index('s3')]}"
    server = S3Server(endpoint, "test", "secret", BUCKET, tuple(ports))
    command: list[str | Path] = [
        sys.executable, "-c", DIE_WITH_PARENT, Path(sys.executable).with_name("weed"),
        "mini", f"-dir={data}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false",
        "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}",
    ]  # fmt: skip
    for number, service in enumerate(SERVICES):
        command += [f"-{service}.port={ports[2 * number]}"]
        command += [f"-{service}.port.grpc={ports[2 * number + 1]}"]
    if tenants:
        identities = folder / "identities.json"
        identities.write_text(json.dumps(known_identities(server, tenants)))
        command += [f"-s3.config={identities}"]
    environment = {**os.environ, **server.environment(), "S3_BUCKET": BUCKET}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    return process, server


def known_identities(
    server: S3Server, tenants: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The server's configuration file: who has which keys, and what each may do."""

    def keys(seen: S3Server) -> list[dict[str, str]]:
        return [{"accessKey": seen.access_key, "secretKey": seen.secret_key}]

    own: dict[str, Any] = {"name": "own", "credentials": keys(server), "actions": ["Admin"]}
    others = [
        {"name": name, "credentials": keys(server.seen_by(name)), "policyNames": [name]}
        for name in tenants
    ]
    policies = [{"name": name, "content": json.dumps(policy)} for name, policy in tenants.items()]
    return {"identities": [own, *others], "policies": policies}


def remove_sockets(ports: tuple[int, ...]) -> None:
    """Remove the sockets that the server leaves in the folder for temporary files."""
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


def answers(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """Wait until the bucket can be asked for; False if the server ended instead."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if bucket_exists(server):
            return True
        time.sleep(0.1)
    return False


def bucket_exists(server: S3Server) -> bool:
    """Whether the server knows the bucket and our credentials by now."""
    try:
        server.client(retries=NO_RETRIES).head_bucket(Bucket=server.bucket)
    except (BotoCoreError, ClientError):
        return False
    return True
