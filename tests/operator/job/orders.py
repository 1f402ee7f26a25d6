"""Orders of Jobs for tests, the settings they are made under, and what is in their manifests."""

from typing import Any

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas.spec import read_manifest
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.manifest import job_manifest
from detnas_operator.job.order import JobOrder, Owner
from tests.cluster.searches import manifest

IMAGE = "example.org/trainer@sha256:" + "ab" * 32
STORE = "s3://bucket/prefix"
SEARCH = "team-a/searches/r18-0123abcd"
TENANT = Tenant(namespace="team-a", service_account="trainer", credentials_secret="detnas-s3")
SETTINGS = OperatorSettings.model_validate(
    {
        "trainer": {"image": "trainer:1", "imagePullSecrets": ["registry"]},
        "storage": {"endpoint": "http://seaweed:8333", "allowed": [STORE]},
        "jobs": {"env": {"HTTPS_PROXY": "http://proxy:3128"}},
    }
)
FOLDERS = {
    Verb.PREPARE: f"{SEARCH}/prepare",
    Verb.BASE: f"{SEARCH}/base",
    Verb.POOL: "team-a/pools/3f/phase-1",
    Verb.EVALUATE: f"{SEARCH}/trials/0007",
    Verb.SUBNETS: f"{SEARCH}/trials/0025",
    Verb.EXTRACT: f"{SEARCH}/extracted/0031",
    Verb.FINETUNE: f"{SEARCH}/finetune",
    Verb.BASELINE: f"{SEARCH}/baselines/continued",
    Verb.TEST: f"{SEARCH}/test",
    Verb.EXPORT: f"{SEARCH}/students/best",
}
NUMBERS = {Verb.POOL: 1, Verb.EVALUATE: 7, Verb.SUBNETS: 25, Verb.EXTRACT: 31}
TYPED = {
    "resources": {"cpu": "3500m", "memory": "32Gi", "ephemeralStorage": "60Gi"},
    "nodeSelector": {"accelerator": "a100"},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "value": "true", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
    "priorityClassName": "research",
    "runtimeClassName": "nvidia",
    "podLabels": {"team": "vision"},
    "podAnnotations": {"example.org/cost": "42"},
    "imagePullSecrets": ["own", "registry"],
    "imagePullPolicy": "Always",
    "sharedMemory": "1Gi",
    "cacheSize": "20Gi",
    "terminationGracePeriodSeconds": 300,
}


def order(
    verb: Verb = Verb.EVALUATE,
    spec: dict[str, Any] | None = None,
    owner: Owner | None = None,
    folder: str | None = None,
) -> JobOrder:
    """An order under a search's manifest, sections of which `spec` replaces."""
    sections = {"finetune": {}, **(spec or {})}
    return JobOrder(
        owner=owner or Owner("r18", "team-a", "0123abcd-0000-4000-8000-000000000000"),
        job_id=JobId(verb, NUMBERS.get(verb, 0)),
        folder=folder or FOLDERS[verb],
        store=STORE,
        spec=read_manifest(manifest("r18", sections), "test").spec,
        image=IMAGE,
    )


def made(
    verb: Verb = Verb.EVALUATE,
    spec: dict[str, Any] | None = None,
    settings: OperatorSettings = SETTINGS,
    tenant: Tenant = TENANT,
) -> dict[str, Any]:
    return job_manifest(order(verb, spec), settings, tenant)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(job)["containers"]
    return only


def env(job: dict[str, Any]) -> dict[str, str]:
    entries = container(job)["env"]
    found = {entry["name"]: entry["value"] for entry in entries}
    assert len(found) == len(entries), "a name given twice means what the last says"
    return found
