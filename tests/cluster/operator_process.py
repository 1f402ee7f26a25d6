"""The operator as a process of its own, with the rights and settings that the chart gives it."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
import yaml

from detnas_operator.cli import main
from tests.cluster.api import Api
from tests.cluster.forked_process import ForkedProcess, Main
from tests.cluster.installation import Installation
from tests.cluster.processes import Command, Process, start
from tests.ports import free_ports

START_SECONDS = 120
STOP_SECONDS = 60
INHERITED = ("PATH", "PYTHONPATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


class OperatorProcess:
    """An operator that may be started, stopped and killed any number of times.

    Attributes:
        settings: its configuration from the next start on.
        environment: its environment variables from the next start on.

    Args:
        installation: whose service account, settings and S3 keys it has.
        folder: for its kubeconfig, its configuration and its log, which continues over restarts.
        server: where it reaches the API server, if not directly.
        settings: replace those of the installation, entire sections.
        forked: from a process that has its imports, which spares two seconds of a core a start;
            else it is the command line, whose memory is all its own.
        program: what is forked.
    """

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        server: str = "",
        settings: Mapping[str, Any] | None = None,
        *,
        forked: bool = False,
        program: Main = main,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_file = folder / "operator.log"
        self.settings = {**installation.settings, **(settings or {})}
        api = Api(server, installation.api.token) if server else installation.api
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            **installation.environment,
            "KUBECONFIG": str(api.kubeconfig(folder / "kubeconfig")),
            "HOME": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "MALLOC_ARENA_MAX": "2",  # as the image sets it
            "DETNAS_CACHE": str(folder / "cache"),
        }
        self._forked = forked
        self._program = program
        self._process: Process | ForkedProcess | None = None
        self._ports = {"health": 0, "metrics": 0}

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.is_running()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready.

        It dies with the thread that calls this.
        """
        assert not self.is_running
        self._ports = dict(zip(self._ports, free_ports(2), strict=True))
        configuration = self.folder / "operator.yaml"
        ports = {name: {"port": port} for name, port in self._ports.items()}
        configuration.write_text(yaml.safe_dump({**self.settings, **ports}))
        self._process = self._started(["--config", str(configuration)])
        if wait:
            self.wait_until_ready()

    def _started(self, options: list[str]) -> Process | ForkedProcess:
        if self._forked:
            return ForkedProcess(
                self._program, options, self.log_file, self.folder, self.environment
            )
        command: Command = [Path(sys.executable).with_name("detnas-operator"), *options]
        return start(command, self.log_file, cwd=self.folder, env=self.environment)

    def wait_until_ready(self) -> None:
        """Wait for a good answer of /healthz.

        Raises:
            AssertionError: it ended instead, or took too long; with the end of its log.
        """
        until = time.monotonic() + START_SECONDS
        while not self.is_ready():
            waits = self.is_running and time.monotonic() < until
            assert waits, f"the operator is not ready:\n{self.log[-4000:]}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether /healthz is green."""
        return self._get("health", "healthz")[0] == 200

    def health(self) -> tuple[int, str]:
        """The status and the text of /healthz; status 0 if there is no answer."""
        return self._get("health", "healthz")

    def metrics(self) -> str:
        """What Prometheus would read."""
        return self._get("metrics", "metrics")[1]

    def figure(self, series: str) -> float:
        """What it would read of one series; −1 where there is none."""
        lines = (line.rpartition(" ") for line in self.metrics().splitlines())
        return next((float(value) for name, _, value in lines if name == series), -1.0)

    def memory(self) -> int:
        """Bytes that are resident in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """Seconds that its threads have computed."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int | None:
        """Let it end as for an upgrade; its exit status, None if it had to be killed."""
        if self._process is None:
            return None
        status = self._process.terminate(STOP_SECONDS)
        self._process.kill()
        return status

    def kill(self) -> None:
        """Kill it (−9); may be called from another thread."""
        if self._process:
            self._process.kill()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def _get(self, server: str, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self._ports[server]}/{path}"
        try:
            answer = urllib3.request("GET", url, retries=False, timeout=30)
        except urllib3.exceptions.HTTPError:
            return 0, ""
        return answer.status, answer.data.decode()
