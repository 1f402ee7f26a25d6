"""An S3 server beside a node, in its network namespace."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.node.daemons import Daemons, Layout, inside
from tools.process import Command

_PORTS = {"s3": 28330, "master": 28331, "volume": 28332, "filer": 28333, "admin": 28334}
_BESIDE = 10  # from a service's port to that of its own protocol
_BUCKET_SECONDS = 60


@dataclass(frozen=True, slots=True)
class S3Server:
    """The server beside the node at `layout`.

    Attributes:
        program: SeaweedFS.
        python: an interpreter that has boto3, for looking at the server.
    """

    layout: Layout
    program: Path
    python: Path
    bucket: str = "experiments"
    access_key: str = "end-to-end"
    secret_key: str = "no-secret"  # noqa: S105 - of a server that cannot be reached from outside

    @property
    def endpoint(self) -> str:
        """Where pods reach it."""
        return f"http://{self.layout.address}:{_PORTS['s3']}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it and wait until its bucket is there.

        Raises:
            StepFailed: it did not start; with the end of its log.
        """
        data = self.layout.folder / "s3"
        data.mkdir(parents=True, exist_ok=True)
        address = self.layout.address
        command: Command = [
            self.program, "mini", f"-dir={data}", f"-ip={address}", f"-ip.bind={address}",
            "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
            *(f"-{service}.port={port}" for service, port in _PORTS.items()),
            *(f"-{service}.port.grpc={port + _BESIDE}" for service, port in _PORTS.items()),
            f"-filer.localSocket={data}.filer.sock", f"-s3.localSocket={data}.sock",
        ]  # fmt: skip
        daemons = Daemons(self.layout)
        daemons.start("s3", command, {**self.variables, "S3_BUCKET": self.bucket})
        daemons.wait_until("s3", self._has_bucket, _BUCKET_SECONDS)

    @staticmethod
    def remove_sockets() -> None:
        """Remove what the server leaves in the folder for temporary files."""
        for port in _PORTS.values():
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def _has_bucket(self) -> bool:
        look = f"import boto3; boto3.client('s3').head_bucket(Bucket={self.bucket!r})"
        # Not our own variables: a proxy, or the user's configuration, leads to another server.
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.layout.folder), **self.variables}
        command = inside(self.layout, [self.python, "-c", look])
        asked = subprocess.run(command, env=environment, capture_output=True, check=False)
        return asked.returncode == 0
