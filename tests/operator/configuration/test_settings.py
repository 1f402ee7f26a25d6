"""The operator's configuration: what it reads, and what it says of a wrong one."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from detnas_operator.configuration.settings import OperatorSettings, SettingsError, load_settings

WHOLE: dict[str, Any] = {
    "namespaces": ["team-a", "team-b"],
    "trainer": {"image": "example.org/trainer:1.0", "imagePullSecrets": ["registry"]},
    "tenants": [
        {
            "namespace": "team-a",
            "serviceAccount": "trainer",
            "credentialsSecret": "detnas-s3",
            "supplementalGroups": [5000],
            "policy": {"maximum": {"gpuHours": "500"}},
        },
        {"namespace": "*"},
    ],
    "storage": {
        "endpoint": "http://seaweed:8333",
        "region": "eu-west-1",
        "allowed": ["s3://bucket/prefix/", "s3://other"],
        "default": "s3://bucket/prefix/detnas",
        "sharedPools": True,
        "caBundle": {"configMap": "company-ca", "secret": "", "key": "ca.pem"},
    },
    "jobs": {
        "ttlSeconds": 60,
        "gpuResource": "amd.com/gpu",
        "multiNode": "JobSet",
        "env": {"HTTPS_PROXY": "http://p:1"},
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "policy": {
            "defaults": {"resources": {"memory": "32Gi"}},
            "forced": {"queueName": "research", "tolerations": [{"operator": "Exists"}]},
            "allowed": {"images": ["registry.example.com/*"]},
            "maximum": {"parallelism": 8, "searches": 4},
        },
    },
    "workers": 4,
    "resyncSeconds": 120,
    "progressSeconds": 30,
    "health": {"port": 8081},
    "metrics": {"port": 9091},
    "logLevel": "DEBUG",
}
SMALLEST: dict[str, Any] = {
    "trainer": {"image": "trainer:1"},
    "storage": {"allowed": ["s3://bucket"]},
}


def load(folder: Path, document: object) -> OperatorSettings:
    file = folder / "operator.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return load_settings(file)


def changed(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(WHOLE)
    *parents, last = path.split(".")
    target: Any = document
    for part in parents:
        target = target[int(part) if part.isdecimal() else part]
    target[int(last) if last.isdecimal() else last] = value
    return document


def test_settings_read_every_field(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    written = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert written["storage"].pop("allowed") == ["s3://bucket/prefix", "s3://other"]
    expected = copy.deepcopy(WHOLE)
    del expected["storage"]["allowed"]
    assert written == expected


def test_settings_have_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALLEST)
    assert settings.namespaces == ()
    assert settings.jobs.gpu_resource == "nvidia.com/gpu"
    assert settings.storage.default == ""
    assert (settings.health.port, settings.metrics.port) == (8080, 9090)
    assert settings.tenant("team-a") is None, "nobody may run searches unless it is said"


def test_settings_prefer_a_named_tenant_to_any(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    own, other = settings.tenant("team-a"), settings.tenant("team-z")
    assert own is not None
    assert other is not None
    assert (own.service_account, own.credentials_secret) == ("trainer", "detnas-s3")
    assert (other.service_account, other.credentials_secret) == ("detnas-trainer", "")
    assert settings.namespaces


WRONG = [
    ("namespaces.0", "Team_A", "namespaces[0]: 'Team_A'", "such as team-a"),
    ("trainer.image", "", "trainer.image: ''", "example.org/trainer:1.0"),
    ("trainer.imagePullPolicy", "Sometimes", "trainer.imagePullPolicy", "'IfNotPresent'"),
    ("trainer.imagePullSecrets.0", "A", "trainer.imagePullSecrets[0]: 'A'", "lower-case"),
    ("trainer.imag", "x", "trainer.imag", "did you mean image?"),
    ("tenants.1.namespace", "", "tenants[1].namespace: ''", "'*' for any"),
    ("tenants.1.namespace", "team-a", "'team-a' is listed twice", "list it once"),
    ("tenants.0.serviceAccount", "no/slash", "namespaces[team-a].serviceAccount", "lower-case"),
    ("tenants.0.credentialsSecret", "A", "namespaces[team-a].credentialsSecret", "or nothing"),
    ("tenants.1.policy", {"maximum": {"gpus": 17}}, "otherNamespaces.policy.maximum.gpus", "16"),
    ("storage.endpoint", "seaweed:8333", "storage.endpoint: 'seaweed:8333'", "https://host:port"),
    ("storage.allowed", [], "storage.allowed", "at least 1 item"),
    ("storage.allowed", ["file:///srv"], "storage.allowed: 'file:///srv'", "s3://bucket/prefix"),
    ("storage.allowed", ["s3://key:pass@b/p"], "storage.allowed: 's3://…@b/p'", "without cred"),
    ("storage.default", "s3://elsewhere", "'s3://elsewhere'", "s3://bucket/prefix, s3://other"),
    ("storage.default", "s3://bucket/prefixx", "'s3://bucket/prefixx'", "at or below none of"),
    ("jobs.ttlSeconds", -1, "jobs.ttlSeconds: -1", "greater than or equal to 0"),
    ("jobs.gpuResource", "gpu", "jobs.gpuResource: 'gpu'", "nvidia.com/gpu"),
    ("jobs.multiNode", "Job", "jobs.multiNode: 'Job'", "IndexedJob"),
    ("jobs.env", {"A-B": "1"}, "jobs.env: 'A-B'", "letters, digits and _"),
    ("jobs.env", {"HOME": "/root"}, "jobs.env: HOME", "leave it out"),
    ("jobs.policy", {"forced": {"queue": "a"}}, "jobs.policy.forced.queue", "queueName"),
    ("jobs.policy", {"maximum": {"gpus": 17}}, "jobs.policy.maximum.gpus: 17", "16"),
    ("jobs.policy", {"allow": {}}, "jobs.policy.allow", "did you mean allowed?"),
    (
        "tenants.0.dataCache",
        {"claim": "a", "hostPath": "/a"},
        "namespaces[team-a].dataCache",
        "give either claim or hostPath, not both",
    ),
    ("tenants.0.policy", {"maximum": {"searches": 0}}, "policy.maximum.searches: 0", "1"),
    ("jobs.podSecurityContext", {"runAsUser": 0}, "podSecurityContext.runAsUser: 0", "1"),
    ("storage.caBundle", {"configMap": "a", "secret": "b"}, "either configMap or secret", "both"),
    ("workers", 0, "workers: 0", "greater than or equal to 1"),
    ("workers", "8", "workers: '8'", "valid integer"),
    ("health.port", 70000, "health.port: 70000", "65535"),
    ("health.port", 9091, "both listen on 9091", "change one"),
    ("logLevel", "LOUD", "logLevel: 'LOUD'", "'WARNING'"),
]


@pytest.mark.parametrize(("path", "value", "problem", "right"), WRONG)
def test_settings_name_a_wrong_field_and_what_is_allowed(
    tmp_path: Path, path: str, value: object, problem: str, right: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, changed(path, value))
    assert problem in str(raised.value)
    assert right in str(raised.value)
    assert len(raised.value.problems) == 1, str(raised.value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("trainer: [", "no valid YAML"),
        ("- a", "list found"),
        ("", "NoneType found"),
    ],
)
def test_settings_refuse_a_file_of_another_kind(
    tmp_path: Path, document: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(tmp_path, document)


def test_settings_name_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"(?s)nowhere\.yaml .*cannot be read"):
        load_settings(tmp_path / "nowhere.yaml")
