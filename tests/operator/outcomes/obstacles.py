"""What can be in the way of a search, made by the tests, and taken away again."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.waiting import eventually

POLICIES = "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"

Stuck = Callable[[PlayedPod], Awaitable[None]]


def stuck_until(mended: threading.Event, stuck: Stuck, then: Script) -> Script:
    """A pod that waits, and does its work once the cause is gone."""

    async def script(pod: PlayedPod) -> None:
        await stuck(pod)
        while not mended.is_set():
            await asyncio.sleep(0.02)
        await then(pod)

    return script


def refuse_jobs(cluster: ControlPlane, namespace: str) -> None:
    """A policy as a cluster's administrator may have one; wait until it is in force."""
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "matchConstraints": {
            "namespaceSelector": where,
            "resourceRules": [{**rule, "resources": ["jobs"]}],
        },
        "validations": [{"expression": "false", "message": "no GPUs are sold on Sundays"}],
    }
    binding = {"policyName": "sundays.test", "validationActions": ["Deny"]}
    for resource, kind, spec in (
        (POLICIES, "ValidatingAdmissionPolicy", policy),
        (BINDINGS, "ValidatingAdmissionPolicyBinding", binding),
    ):
        metadata = {"name": "sundays.test"}
        body = {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}
        cluster.api.request("POST", resource, body)
    dry_run = ("-n", namespace, "create", "job", "x", "--image=x", "--dry-run=server")
    eventually(lambda: "Sundays" in cluster.run_kubectl(*dry_run).stderr)


def allow_jobs(api: Api) -> None:
    for resource in (BINDINGS, POLICIES):
        api.delete(resource, "", "sundays.test")
