"""A real JobSet controller: its objects as its release installs them, and its manager as a process.

Its webhooks are called at this machine's own address, with the API server's certificate. It needs a
control plane of its own: in one that serves JobSets, pools on several nodes use them.
"""

import base64
import shutil
import time
from pathlib import Path

import urllib3
import yaml

from tests.cluster.api import Document, list_of
from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Command, Process, start
from tests.ports import free_ports

JOBSETS = "apis/jobset.x-k8s.io/v1alpha2/jobsets"
DEFINITION = "jobsets.jobset.x-k8s.io"
NAMESPACE = "jobset-system"
ACCOUNT = "jobset-controller-manager"
LEFT_OUT = ("Deployment", "Secret", "Service")
"""What a pod of its own would need."""
START_SECONDS = 60


class JobSetController:
    """The JobSet controller in a control plane.

    Args:
        cluster: where it manages JobSets.
        binary: its manager, beside which lies what installs it.
    """

    def __init__(self, cluster: ControlPlane, binary: Path) -> None:
        self.cluster = cluster
        self._binary = binary
        self._folder = cluster.folder / "jobset"
        self._folder.mkdir()
        self._log = self._folder / "jobset.log"
        self._webhook_port, self._health_port = free_ports(2)
        self._process: Process | None = None

    def install(self) -> None:
        """Make its objects, or make them again."""
        objects = [one for one in released(self._binary) if one["kind"] not in LEFT_OUT]
        for document in objects:
            for webhook in document.get("webhooks", ()):
                webhook["clientConfig"] = self._client(webhook["clientConfig"]["service"]["path"])
        command = ("apply", "--server-side", "--filename", "-")
        self.cluster.kubectl(*command, text=list_of(objects))
        wait = ("wait", "--for=condition=Established", f"crd/{DEFINITION}", "--timeout=30s")
        self.cluster.kubectl(*wait)

    def remove_definition(self) -> None:
        """Remove the kind from the API, and all JobSets with it."""
        self.stop()
        self.cluster.kubectl("delete", "crd", DEFINITION, "--wait=true", "--timeout=60s")

    def start(self) -> None:
        """Start its manager, and wait until its webhooks answer."""
        certificates = self._folder / "certificates"
        certificates.mkdir(exist_ok=True)
        shutil.copy(self.cluster.certificate, certificates / "tls.crt")
        shutil.copy(self.cluster.certificate.with_suffix(".key"), certificates / "tls.key")
        settings = {
            "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
            "kind": "Configuration",
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health_port}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {
                "host": "127.0.0.1",
                "port": self._webhook_port,
                "certDir": str(certificates),
            },
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
        }
        configuration = self._folder / "configuration.yaml"
        configuration.write_text(yaml.safe_dump(settings))
        kubeconfig = self.cluster.caller(NAMESPACE, ACCOUNT).kubeconfig(self._folder / "kubeconfig")
        command: Command = [self._binary, f"--config={configuration}"]
        environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(self._folder)}
        self._process = start(command, self._log, cwd=self._folder, env=environment)
        self._wait_until_ready()

    def stop(self) -> None:
        """Kill its manager."""
        if self._process:
            self._process.kill()

    def _client(self, path: str) -> Document:
        trusted = base64.b64encode(self.cluster.certificate.read_bytes()).decode()
        return {"url": f"https://127.0.0.1:{self._webhook_port}{path}", "caBundle": trusted}

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process
            waits = self._process.is_running() and time.monotonic() < until
            assert waits, f"the controller did not start:\n{self._log.read_text()[-4000:]}"
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self._health_port}/readyz"
            return urllib3.request("GET", url, retries=False, timeout=5).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def definition(binary: Path) -> Document:
    """The CustomResourceDefinition of JobSets."""
    kind = "CustomResourceDefinition"
    (found,) = [one for one in released(binary) if one["kind"] == kind]
    return found


def released(binary: Path) -> list[Document]:
    """The objects that install it, as its release has them."""
    text = binary.with_name("jobset.yaml").read_text()
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
