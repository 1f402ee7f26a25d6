"""A real Kueue: its objects as its release installs them, and its manager as a process.

It needs a control plane of its own: while its manager is away, its webhooks refuse every Job.
"""

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.cluster.api import SECRETS, Document, list_of
from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Command, Process, start
from tests.cluster.waiting import eventually
from tests.ports import free_ports

NAMESPACE = "kueue-system"
ACCOUNT = "kueue-controller-manager"
SECRET = "kueue-webhook-server-cert"
WEBHOOKS = "kueue-webhook-service"
WORKLOADS = "apis/kueue.x-k8s.io/v1beta2/workloads"
FLAVOR = "default"
AMPLE = {"cpu": 1000, "memory": "1000Gi", "ephemeral-storage": "1000Gi"}
GPU = "nvidia.com/gpu"
# Pods and aggregated APIs of a cluster without nodes: nobody would answer for them.
LEFT_OUT = ("APIService", "Deployment")
START_SECONDS = 120


class Kueue:
    """Kueue in a control plane; its manager may be restarted with other settings.

    Args:
        cluster: where it manages Jobs.
        binary: its manager, beside which lies what installs it.
    """

    def __init__(self, cluster: ControlPlane, binary: Path) -> None:
        self.cluster = cluster
        self._binary = binary
        self._folder = cluster.folder / "kueue"
        self._certificates = self._folder / "certificates"
        self._certificates.mkdir(parents=True)
        self._log = self._folder / "kueue.log"
        self._webhook_port, self._health_port = free_ports(2)
        self._process: Process | None = None

    def install(self) -> None:
        """Make its objects; its webhooks are called under this machine's own address."""
        text = self._binary.with_name("kueue.yaml").read_text()
        loaded = yaml.load_all(text, Loader=yaml.CSafeLoader)
        objects = [one for one in loaded if one["kind"] not in LEFT_OUT]
        for document in objects:
            if document["metadata"]["name"] == WEBHOOKS:
                port = {"port": self._webhook_port, "protocol": "TCP"}
                document["spec"] = {
                    "type": "ExternalName",
                    "externalName": "localhost",
                    "ports": [port],
                }
                _call_on(objects, self._webhook_port)
        command = ("apply", "--server-side", "--filename", "-")
        self.cluster.kubectl(*command, text=list_of(objects))

    def start(self, **settings: Any) -> None:
        """Start its manager, with further settings of its configuration."""
        configuration = self._folder / "configuration.yaml"
        configuration.write_text(yaml.safe_dump({**self._settings(), **settings}))
        kubeconfig = self.cluster.caller(NAMESPACE, ACCOUNT).kubeconfig(self._folder / "kubeconfig")
        command: Command = [
            self._binary, f"--config={configuration}", "--zap-log-level=2",
            "--feature-gates=VisibilityOnDemand=false",
        ]  # fmt: skip
        environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(self._folder)}
        self._process = start(command, self._log, cwd=self._folder, env=environment)
        self._wait_until_ready()

    def restart(self, **settings: Any) -> None:
        """Restart its manager with other settings."""
        self.stop()
        self.start(**settings)

    def stop(self) -> None:
        """Kill its manager."""
        if self._process:
            self._process.kill()

    def queue(self, name: str, namespace: str, gpus: int) -> None:
        """Make a queue of a namespace, and a cluster queue of this name with a quota of GPUs."""
        resources = [{"name": kind, "nominalQuota": amount} for kind, amount in AMPLE.items()]
        resources.append({"name": GPU, "nominalQuota": gpus})
        group = {
            "coveredResources": [one["name"] for one in resources],
            "flavors": [{"name": FLAVOR, "resources": resources}],
        }
        spec = {
            "namespaceSelector": {},
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [group],
        }
        self.make("ResourceFlavor", FLAVOR, spec={})
        self.make("ClusterQueue", name, spec=spec)
        self.make("LocalQueue", name, namespace, spec={"clusterQueue": name})

    def make(self, kind: str, name: str, namespace: str = "", **fields: Any) -> None:
        """Make one of its objects, or change it."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        document = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata}
        self.cluster.api.apply({**document, **fields}, namespace)

    def workload(self, job: Document) -> Document:
        """The Workload that it made for a Job."""

        def owned() -> list[Document]:
            found = self.cluster.api.list(WORKLOADS, job["metadata"]["namespace"])
            return [one for one in found if uid in owners(one)]

        uid = job["metadata"]["uid"]
        return eventually(owned)[0]

    def _settings(self) -> dict[str, Any]:
        return {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "namespace": NAMESPACE,
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health_port}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {
                "host": "127.0.0.1",
                "port": self._webhook_port,
                "certDir": str(self._certificates),
            },
            "leaderElection": {"leaderElect": False},
            "clientConnection": {"qps": 200, "burst": 400},
            "internalCertManagement": {
                "enable": True,
                "webhookServiceName": WEBHOOKS,
                "webhookSecretName": SECRET,
            },
            "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
        }

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process
            waits = self._process.is_running() and time.monotonic() < until
            assert waits, f"Kueue did not start:\n{self._log.read_text()[-4000:]}"
            self._mount_certificates()
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self._health_port}/readyz"
            return urllib3.request("GET", url, retries=False, timeout=5).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _mount_certificates(self) -> None:
        """Do as a kubelet does with the Secret that the manager keeps its certificate in."""
        data: Mapping[str, str] = self.cluster.api.get(SECRETS, NAMESPACE, SECRET).get("data", {})
        for name, content in data.items():
            (self._certificates / name).write_bytes(base64.b64decode(content))


def owners(document: Document) -> list[str]:
    """UIDs of the objects that an object belongs to."""
    return [one["uid"] for one in document["metadata"].get("ownerReferences", ())]


def _call_on(objects: list[Document], port: int) -> None:
    """Have everything that calls the webhooks' Service call it on this port."""
    for document in objects:
        callers = [*document.get("webhooks", ())]
        if "conversion" in document.get("spec", {}):
            callers.append(document["spec"]["conversion"]["webhook"])
        for caller in callers:
            caller["clientConfig"]["service"]["port"] = port
