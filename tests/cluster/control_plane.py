"""A control plane of this process's own: etcd, kube-apiserver and kube-controller-manager.

They listen on free ports of 127.0.0.1 and die with this process. There is no node: pods are made
by the Job controller and stay as they are until something plays them (`pods.py`).
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import urllib3

from tests.cluster.api import Api, ApiError, Document
from tests.cluster.processes import Command, Process, start
from tests.ports import free_ports

ADMIN = "admin-of-tests"
START_SECONDS = 90
# Those that delete objects of the operator, and none that needs a node.
CONTROLLERS = (
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "ttl-after-finished-controller",
)


class ControlPlane:
    """A running control plane whose data and logs lie in `folder`.

    Attributes:
        api: the client of an administrator.
        kubeconfig: the administrator's, for `kubectl`.
        abandoned: namespaces of tests that have ended; their pods are played no more.
    """

    def __init__(self, folder: Path, binaries: dict[str, Path]) -> None:
        self.folder = folder
        self.binaries = binaries
        self._etcd_port, self._peer_port, port, self._manager_port = free_ports(4)
        self.certificate = folder / "certificates" / "apiserver.crt"
        self.api = Api(f"https://127.0.0.1:{port}", ADMIN, self.certificate)
        self.kubeconfig = folder / "admin.kubeconfig"
        self.abandoned: set[str] = set()
        self._processes: dict[str, Process] = {}

    def start(self, definitions: Iterable[Document] = ()) -> None:
        """Start everything and wait until Jobs are looked after.

        `definitions` are made before the garbage collector starts, which would otherwise learn of
        a new kind half a minute later.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tokens.csv").write_text(
            f'{ADMIN},admin,admin,"system:masters"\n'
            "manager,system:kube-controller-manager,manager\n"
        )
        self._start("etcd", self._etcd())
        self.start_api_server()
        self.api.kubeconfig(self.kubeconfig)
        for definition in definitions:
            self.api.apply(definition)
        self.start_controllers()

    def stop(self) -> None:
        """End all of it at once; nobody will read what it would still write."""
        for process in self._processes.values():
            process.kill()

    def start_api_server(self) -> None:
        """Start the API server, on the port and the data that it had."""
        self._start("kube-apiserver", self._api_server())
        self._wait("kube-apiserver", self._is_ready)

    def stop_api_server(self, *, kill: bool = False) -> None:
        """Stop the API server as for an upgrade, or kill it; watches end."""
        process = self._processes.pop("kube-apiserver")
        if not kill:
            process.terminate(seconds=20)
        process.kill()

    def start_controllers(self) -> None:
        """Start the controllers, and wait for the first sign of them."""
        self._start("kube-controller-manager", self._controller_manager())
        account = "api/v1/namespaces/default/serviceaccounts/default"
        self._wait("kube-controller-manager", lambda: self._answers(account))

    def log(self, name: str) -> str:
        """What one of the programs said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def kubectl(self, *arguments: str | Path, text: str = "", check: bool = True) -> str:
        """Run `kubectl` as the administrator with `text` as its input; what it printed.

        Raises:
            AssertionError: it failed.
        """
        done = self.run_kubectl(*arguments, text=text)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run_kubectl(
        self, *arguments: str | Path, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `kubectl` as the administrator, however it ends."""
        command = [self.binaries["kubectl"], "--kubeconfig", self.kubeconfig, *arguments]
        return subprocess.run(
            command, input=text, capture_output=True, check=False, text=True, timeout=120
        )

    def caller(self, namespace: str, service_account: str) -> Api:
        """A client that is a service account, by a token as a pod would get one."""
        path = f"api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.api.request("POST", path, request)["status"]["token"]
        return Api(self.api.server, token, self.certificate)

    def _start(self, name: str, options: dict[str, object]) -> None:
        command: Command = [
            self.binaries[name],
            *(f"--{key}={value}" for key, value in options.items()),
        ]
        # Memory is there: garbage collected rarely spares the API server a fifth of its work.
        environment = {**os.environ, "GOGC": "400"}
        log = self.folder / f"{name}.log"
        self._processes[name] = start(command, log, cwd=self.folder, env=environment)

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        process = self._processes[name]
        until = time.monotonic() + START_SECONDS
        while not ready():
            if not process.is_running() or time.monotonic() > until:
                raise RuntimeError(f"{name} did not start:\n{self.log(name)[-3000:]}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        return self.certificate.exists() and self._answers("readyz")

    def _answers(self, path: str) -> bool:
        try:
            self.api.request("GET", path)
        except (ApiError, urllib3.exceptions.HTTPError):
            return False
        return True

    def _etcd(self) -> dict[str, object]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        return {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _api_server(self) -> dict[str, object]:
        # It makes its own certificate, whose key also signs the tokens of service accounts.
        key = self.certificate.with_suffix(".key")
        return {
            "etcd-servers": f"http://127.0.0.1:{self._etcd_port}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",  # 127.0.0.1 may not be an endpoint
            "secure-port": self.api.server.rpartition(":")[2],
            "cert-dir": self.certificate.parent,
            "authorization-mode": "RBAC",
            "token-auth-file": self.folder / "tokens.csv",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.0.0.0/16",
            "profiling": "false",
            # Policies change objects as admission webhooks do, and need no server of their own.
            "feature-gates": "MutatingAdmissionPolicy=true",
            "runtime-config": "admissionregistration.k8s.io/v1beta1=true",
        }

    def _controller_manager(self) -> dict[str, object]:
        manager = Api(self.api.server, "manager", self.certificate)
        kubeconfig = manager.kubeconfig(self.folder / "manager.kubeconfig")
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": self._manager_port,
            "cert-dir": self.folder / "manager",
            "controllers": ",".join(CONTROLLERS),
            "leader-elect": "false",
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self.certificate.with_suffix(".key"),
            "root-ca-file": self.certificate,
            "concurrent-job-syncs": "20",
            "kube-api-qps": "200",
            "kube-api-burst": "400",
            "profiling": "false",
        }
