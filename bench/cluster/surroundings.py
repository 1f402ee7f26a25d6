"""A control plane, an S3 server and an operator's process, for the benches of the operator."""

import contextlib
import re
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import make_namespace, start_cluster
from tests.cluster.forked_process import Main
from tests.cluster.installation import Installation, install
from tests.cluster.operator_process import OperatorProcess
from tests.seaweed import S3Server, running_server
from tools.kubernetes import CONTROL_PLANE, find


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an operator runs in.

    Attributes:
        cluster: real etcd, API server and controllers.
        server: real S3.
        namespace: of the searches.
        installation: the chart's service account, rights and configuration.
        folder: for files.
    """

    cluster: ControlPlane
    server: S3Server
    namespace: str
    installation: Installation
    folder: Path

    def operator(self, program: Main | None = None, **settings: Any) -> OperatorProcess:
        """An operator that is not started yet; a program other than its own is forked."""
        folder = self.folder / f"operator-{uuid.uuid4().hex[:6]}"
        if program is None:
            return OperatorProcess(self.installation, folder, settings=settings)
        return OperatorProcess(
            self.installation, folder, settings=settings, forked=True, program=program
        )


@contextlib.contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Start them; they end with the block."""
    programs = {name: path for name in CONTROL_PLANE if (path := find(name))}
    if missing := [name for name in CONTROL_PLANE if name not in programs]:
        raise SystemExit(f"no {', '.join(missing)}: run python3 dev.py kubernetes first")
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        folder = Path(place)
        with running_server(folder / "s3") as server:
            cluster = start_cluster(folder / "cluster", programs)
            try:
                namespace = make_namespace(cluster, "bench")
                installed = install(cluster, server, [namespace])
                yield Surroundings(cluster, server, namespace, installed, folder)
            finally:
                cluster.stop()


def metric(text: str, name: str, **labels: str) -> float:
    """Add up a metric's samples that have these labels."""
    total = 0.0
    for line in text.splitlines():
        if match := re.match(rf"{name}(?:\{{(.*)\}})? (\S+)$", line):
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
            if labels.items() <= found.items():
                total += float(match[2])
    return total
