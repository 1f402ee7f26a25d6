"""The operator as its pod runs it: a process with a configuration file and a token."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api import SEARCHES, Api, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import Installation
from tests.cluster.processes import start
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.ports import free_ports

SERVICES = "api/v1/services"
ROLES = "apis/rbac.authorization.k8s.io/v1/roles"
BINDINGS = "apis/rbac.authorization.k8s.io/v1/rolebindings"
GRACE_SECONDS = 45
"""What the chart leaves the pod to end."""

OPERATOR = [sys.executable, "-m", "detnas_operator"]


@dataclass(frozen=True)
class Pod:
    """What the operator's pod has."""

    config: Path
    environment: dict[str, str]
    health: str
    metrics: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        whole, _, _ = self.log.read_text().rpartition("\n")  # the last line may not be written out
        return [json.loads(line) for line in whole.splitlines()]

    def check(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*OPERATOR, "check", "--config", self.config],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def pod(installation: Installation, tmp_path: Path) -> Pod:
    health, metrics = free_ports(2)
    ports = {"health": {"port": health}, "metrics": {"port": metrics}}
    config = tmp_path / "operator.yaml"
    config.write_text(yaml.safe_dump({**installation.settings, **ports}))
    kubeconfig = installation.api.kubeconfig(tmp_path / "operator.kubeconfig")
    environment = {**os.environ, **installation.environment, "KUBECONFIG": str(kubeconfig)}
    address = "http://127.0.0.1"
    return Pod(
        config,
        environment,
        f"{address}:{health}/healthz",
        f"{address}:{metrics}/metrics",
        tmp_path / "operator.log",
    )


def fetch(url: str) -> str:
    """What a URL answers; empty while it does not."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def is_refused(installation: Installation, resource: str, namespace: str) -> bool:
    """Whether the API server already refuses the operator to read something."""
    try:
        installation.api.find(resource, namespace, "any")
    except ApiError as refusal:
        return refusal.status == 403
    return False


def test_operator_process_starts_serves_and_ends(
    pod: Pod, cluster: ControlPlane, namespace: str
) -> None:
    begun = time.monotonic()
    process = start([*OPERATOR, "--config", pod.config], pod.log, env=pod.environment)
    try:
        eventually(lambda: fetch(pod.health))
        print(f"ready after {time.monotonic() - begun:.1f} s")
        cluster.api.create(manifest("r18"), namespace)
        eventually(lambda: cluster.api.get(SEARCHES, namespace, "r18").get("status"))
        eventually(lambda: 'detnas_reconcile_seconds_count{outcome="ok"}' in fetch(pod.metrics))
        resident = Path(f"/proc/{process.popen.pid}/status").read_text()
        print(next(line for line in resident.splitlines() if line.startswith("VmRSS")))
        assert process.terminate(GRACE_SECONDS) == 0
    finally:
        process.kill()
    assert pod.lines()[-1]["message"] == "stopped; running jobs continue"
    assert all({"time", "level", "message"} <= set(line) for line in pod.lines())


def test_check_command_passes_with_the_charts_roles(pod: Pod, namespace: str) -> None:
    done = pod.check()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    *found, untested = lines
    assert all(line.startswith("ok ") for line in found)
    assert untested.startswith("note ")
    assert "the S3 keys of the namespaces are not tested" in untested
    assert any("CRD" in line for line in lines)
    assert any("create, patch, delete jobs" in line and namespace in line for line in lines)
    assert any("s3://" in line for line in lines)


def test_check_command_names_missing_rights_and_buckets(
    pod: Pod, installation: Installation, cluster: ControlPlane, namespace: str
) -> None:
    (role,) = cluster.api.list(ROLES, namespace)
    rules = [rule for rule in role["rules"] if "services" not in rule["resources"]]
    cluster.api.patch(ROLES, namespace, role["metadata"]["name"], {"rules": rules})
    eventually(lambda: is_refused(installation, SERVICES, namespace))
    settings = yaml.safe_load(pod.config.read_text())
    settings["storage"] |= {"allowed": ["s3://nowhere/x"], "default": ""}
    pod.config.write_text(yaml.safe_dump(settings))
    done = pod.check()
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL ")]
    assert len(failed) == 2, failed
    assert "get, create services" in failed[0]
    assert "grant it" in failed[0]
    assert "s3://nowhere/x" in failed[1]


def test_operator_process_logs_a_missing_right_once_and_continues_when_it_is_granted(
    pod: Pod, installation: Installation, cluster: ControlPlane, namespace: str
) -> None:
    (binding,) = cluster.api.list(
        BINDINGS, namespace, labelSelector="app.kubernetes.io/name=detnas"
    )
    name = binding["metadata"]["name"]
    cluster.api.delete(BINDINGS, namespace, name)
    eventually(lambda: is_refused(installation, SEARCHES, namespace))
    cluster.api.create(manifest("r18"), namespace)
    process = start([*OPERATOR, "--config", pod.config], pod.log, env=pod.environment)
    try:
        eventually(lambda: fetch(pod.health))
        (line,) = eventually(lambda: [one for one in pod.lines() if "forbidden" in str(one)][:1])
        assert "detnassearches" in line["message"]
        assert "grant this to the operator's service account" in line["message"]
        time.sleep(6)
        said = [one for one in pod.lines() if "forbidden" in str(one)]
        assert len(said) == 1, said
        assert fetch(pod.health)
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            binding["metadata"].pop(field, None)
        binding |= {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
        cluster.api.create(binding, namespace)
        eventually(lambda: cluster.api.get(SEARCHES, namespace, "r18").get("status"))
        assert process.terminate(GRACE_SECONDS) == 0
    finally:
        process.kill()


def test_operator_process_stays_healthy_without_an_api_server(pod: Pod) -> None:
    environment = {**pod.environment, "KUBECONFIG": str(pod.config.with_name("absent.kubeconfig"))}
    (port,) = free_ports(1)
    absent = Api(f"https://127.0.0.1:{port}", "nobody")
    absent.kubeconfig(Path(environment["KUBECONFIG"]))
    process = start([*OPERATOR, "--config", pod.config], pod.log, env=environment)
    try:
        eventually(lambda: fetch(pod.health))
        time.sleep(4)
        assert fetch(pod.health)
        told = [one["message"] for one in pod.lines() if "wait until it can be listed" in str(one)]
        assert len(told) == len({one.partition(": ")[0] for one in told})
        assert "no answer from the API server" in told[0]
        assert process.terminate(GRACE_SECONDS) == 0
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("config", "words"),
    [("", "mapping"), ("storage: {allowed: [file:///x]}", "trainer"), (None, "cannot be read")],
    ids=["empty", "wrong", "missing"],
)
def test_operator_process_ends_at_once_on_a_wrong_configuration(
    tmp_path: Path, config: str | None, words: str
) -> None:
    file = tmp_path / "operator.yaml"
    if config is not None:
        file.write_text(config)
    done = subprocess.run(
        [*OPERATOR, "--config", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
