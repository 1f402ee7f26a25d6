"""What keeps objects out of a namespace; each is in force once it is made.

The API server learns of its own objects by watches: what it lets in changes a moment after them.
"""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from tests.cluster.api import NAMESPACES, Api, ApiError, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually

STABLE, BETA = (f"admissionregistration.k8s.io/{version}" for version in ("v1", "v1beta1"))
SUNDAYS = "sundays.test"
QUOTAS = "api/v1/resourcequotas"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_GROUPS = {
    "pods": ("", "v1"),
    "jobs": ("batch", "v1"),
    "jobsets": ("jobset.x-k8s.io", "v1alpha2"),
}
_MODEST = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def restrict(api: Api, namespace: str) -> None:
    """Admit pods by the strictest of Kubernetes' standards."""
    api.patch(NAMESPACES, "", namespace, {"metadata": {"labels": RESTRICTED}})
    eventually(lambda: "violates PodSecurity" in _refusal(api, namespace, _pod({})))


def forbid(api: Api, namespace: str, resource: str) -> None:
    """Make a quota ``limits`` that leaves nothing of pods, of GPUs or of Jobs."""
    limit(api, namespace, {resource: "0"})
    probe = _job() if "jobs" in resource else _pod(_MODEST)
    eventually(lambda: "exceeded quota" in _refusal(api, namespace, probe))


def limit(api: Api, namespace: str, hard: dict[str, str]) -> None:
    """Make a quota ``limits``."""
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits"}}
    api.create({**body, "spec": {"hard": hard}}, namespace)
    eventually(lambda: api.get(QUOTAS, namespace, "limits")["status"]["hard"] == hard)


@dataclass(frozen=True)
class Policy:
    """What changes pods, Jobs or JobSets as they are written, as webhooks of others do.

    Attributes:
        resource: `pods`, `jobs` or `jobsets`.
        patch: a list of JSONPatch operations, in CEL.
        shows: what is in an object once it is changed.
        when: which objects, in CEL.
        operations: with which writes.
    """

    resource: str
    patch: str
    shows: str
    when: str = "true"
    operations: tuple[str, ...] = ("CREATE",)


def change(api: Api, namespace: str, policy: Policy) -> None:
    """Put a policy in force in a namespace."""
    name = f"{uuid.uuid4().hex[:8]}.test"
    group, version = _GROUPS[policy.resource]
    rule = {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(policy.operations),
        "resources": [policy.resource],
    }
    labels = "object.metadata.?labels"
    chosen = f"({policy.when}) || {labels}['probe'].orValue('') == '{name}'"
    changes = {
        "matchConstraints": {
            "namespaceSelector": _only(namespace),
            "resourceRules": [rule],
        },
        "matchConditions": [{"name": "some", "expression": chosen}],
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": policy.patch}}],
    }
    for kind, spec in (
        ("MutatingAdmissionPolicy", changes),
        ("MutatingAdmissionPolicyBinding", {"policyName": name}),
    ):
        body = {"apiVersion": BETA, "kind": kind, "metadata": {"name": name}, "spec": spec}
        api.create(body)
    probe = {"pods": _pod(_MODEST), "jobs": _job(), "jobsets": _jobset()}[policy.resource]
    probe["metadata"]["labels"] = {"probe": name}
    eventually(
        lambda: policy.shows in json.dumps(api.create(probe, namespace, dryRun="All")["spec"])
    )


def _pod(security: dict[str, Any]) -> Document:
    gpu = {"limits": {"nvidia.com/gpu": 1}}
    container = {"name": "a", "image": "a", "resources": gpu, "securityContext": security}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}


def _job() -> Document:
    spec = {"template": {"spec": _pod({})["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "probe"}, "spec": spec}


def _jobset() -> Document:
    replicated = {"name": "a", "template": {"spec": _job()["spec"]}}
    kind = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"}
    return {**kind, "metadata": {"name": "probe"}, "spec": {"replicatedJobs": [replicated]}}


def _refusal(api: Api, namespace: str, probe: Document) -> str:
    """What the API server says against an object; empty if it would take it."""
    try:
        api.create(probe, namespace, dryRun="All")
    except ApiError as error:
        return str(error)
    return ""


def refuse_jobs(cluster: ControlPlane, namespace: str) -> None:
    """Put a policy in force, as an administrator may have one, that refuses every Job."""
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"]}
    policy = {
        "matchConstraints": {
            "namespaceSelector": _only(namespace),
            "resourceRules": [{**rule, "resources": ["jobs"]}],
        },
        "validations": [{"expression": "false", "message": "no GPUs are sold on Sundays"}],
    }
    binding = {"policyName": SUNDAYS, "validationActions": ["Deny"]}
    for kind, spec in (
        ("ValidatingAdmissionPolicy", policy),
        ("ValidatingAdmissionPolicyBinding", binding),
    ):
        body = {"apiVersion": STABLE, "kind": kind, "metadata": {"name": SUNDAYS}, "spec": spec}
        cluster.api.create(body)
    dry_run = ("-n", namespace, "create", "job", "x", "--image=x", "--dry-run=server")
    eventually(lambda: "Sundays" in cluster.run_kubectl(*dry_run).stderr)


def allow_jobs(api: Api) -> None:
    """Delete that policy."""
    for kind in ("policybindings", "policies"):
        api.delete(f"apis/{STABLE}/validatingadmission{kind}", "", SUNDAYS)


def _only(namespace: str) -> Document:
    """What selects one namespace."""
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
