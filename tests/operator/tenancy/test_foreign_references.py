"""Manifests that reach for what is not theirs: refused, before anything is read or started."""

from typing import Any

import pytest

from detnas.plan.stages import JobId
from detnas.reasons import Reason
from detnas.records.verbs import Verb
from detnas_operator.admission.admission import Admitted, admit, parse
from detnas_operator.admission.recorded import with_changeable_fields_of
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.job.manifest import job_manifest
from detnas_operator.job.order import JobOrder, Owner
from tests.cluster.api import JOBS, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.searches import manifest
from tests.operator.harness.fixtures import MakeHarness
from tests.seaweed import S3Server

ROOT = "s3://experiments/ROOT"
DATA = {"train": "t.json", "val": "v.json"}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "another bucket": {"storage": {"uri": "s3://others/detnas"}},
    "above": {"storage": {"uri": "s3://experiments"}},
    "a prefix's beginning": {"storage": {"uri": "s3://experiments/ROO"}},
    "a prefix's continuation": {"storage": {"uri": "s3://experiments/ROOT-2"}},
    "dots": {"storage": {"uri": "s3://experiments/ROOT/../other"}},
    "encoded dots": {"storage": {"uri": "s3://experiments/ROOT/%2e%2e/other"}},
    "an encoded slash": {"storage": {"uri": "s3://experiments/ROOT/..%2fother"}},
    "an empty part": {"storage": {"uri": "s3://experiments/ROOT//x"}},
    "a server": {"storage": {"uri": "s3://10.0.0.1:8333/experiments/ROOT"}},
    "a server as a query": {"storage": {"uri": "s3://experiments/ROOT?endpoint=http://evil"}},
    "a web address": {"storage": {"uri": "https://evil.example/experiments/ROOT"}},
    "credentials": {"storage": {"uri": "s3://key:secret@experiments/ROOT"}},
    "the operator's files": {"storage": {"uri": "file:///etc/detnas"}},
    "another's folder": {"storage": {"uri": "s3://experiments/ROOT/OTHER"}},
    "below another's folder": {"storage": {"uri": "s3://experiments/ROOT/OTHER/NAMESPACE"}},
    "nobody's folder": {"storage": {"uri": "s3://experiments/ROOT/kube-public"}},
    "another search's data": {"storage": {"uri": "s3://experiments/ROOT/OTHER/searches/x-1"}},
    "another's pools": {"storage": {"uri": "s3://experiments/ROOT/OTHER/pools"}},
    "another's pool": {"teachers": {"pool": "s3://experiments/ROOT/OTHER/pools/00"}},
    "another bucket's pool": {"teachers": {"pool": "s3://others/ROOT/NAMESPACE/pools/00"}},
    "a pool by dots": {"teachers": {"pool": "s3://experiments/ROOT/NAMESPACE/pools/../../a"}},
    "a pool of files": {"teachers": {"pool": "file:///etc/pools/00"}},
    "another's search": {"warmStart": {"from": "s3://experiments/ROOT/OTHER/searches/x-01234567"}},
    "another bucket's search": {"warmStart": {"from": "s3://others/a/NAMESPACE/searches/x-1"}},
    "a search of files": {"warmStart": {"from": "file:///etc/a/searches/x-01234567"}},
    "the cluster's priority": {"jobs": {"priorityClassName": "system-node-critical"}},
    "our labels": {"jobs": {"podLabels": {"detnas.dev/search": "other"}}},
    "the policy's label": {"jobs": {"podLabels": {"app.kubernetes.io/name": "detnas"}}},
    "the queue's label": {"jobs": {"podLabels": {"kueue.x-k8s.io/queue-name": "vip"}}},
    "AppArmor": {
        "jobs": {
            "podAnnotations": {
                "container.apparmor.security.beta.kubernetes.io/trainer": "unconfined"
            }
        }
    },
    "seccomp": {
        "jobs": {"podAnnotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}
    },
    "a service account": {"jobs": {"serviceAccountName": "detnas"}},
    "a host path": {"jobs": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}},
    "a pod template": {"jobs": {"template": {"spec": {"hostNetwork": True}}}},
    "a host path as data": {"dataset": {**DATA, "source": {"hostPath": {"path": "/"}}}},
    "data of one machine": {"dataset": {**DATA, "source": {"directory": "/etc"}}},
    "a way out of the volume": {
        "dataset": {
            **DATA,
            "source": {"persistentVolumeClaim": {"claimName": "data", "path": "../../etc"}},
        }
    },
    "an image with a line": {"jobs": {"image": "trainer:1\n  hostNetwork: true"}},
    "a depth without end": {"teachers": {"depths": {"max": [3, 4, 1_000_000_000, 3]}}},
}
"""Specs that differ from a good one in one section."""


def written_for(spec: Any, words: dict[str, str]) -> Any:
    if isinstance(spec, dict):
        return {key: written_for(value, words) for key, value in spec.items()}
    if isinstance(spec, list):
        return [written_for(value, words) for value in spec]
    if isinstance(spec, str):
        for word, meaning in words.items():
            spec = spec.replace(word, meaning)
    return spec


def admits(cluster: ControlPlane, namespace: str, name: str, spec: dict[str, Any]) -> bool:
    """Whether the API server lets a search be created, asked as `kubectl` asks."""
    try:
        cluster.api.create(manifest(name, spec), namespace, fieldValidation="Strict")
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        return False
    return True


def test_search_that_names_what_is_not_its_own_reads_and_starts_nothing(
    make_harness: MakeHarness, s3_server: S3Server, namespace: str
) -> None:
    harness = make_harness([namespace, "default"])
    cluster = harness.cluster
    words = {
        "experiments": s3_server.bucket,
        "ROOT": harness.root.rpartition("/")[2],
        "NAMESPACE": namespace,
        "OTHER": "default",
    }
    accepted = {
        f"s{number}": name
        for number, (name, spec) in enumerate(ELSEWHERE.items())
        if admits(cluster, namespace, f"s{number}", written_for(spec, words))
    }
    assert accepted, "the operator has nothing to refuse"
    assert len(accepted) < len(ELSEWHERE), "the API server refuses nothing"
    harness.operator.start()
    for name, what in accepted.items():
        search = harness.search(name, namespace=namespace)
        condition = search.until_condition("Accepted", "False")
        assert condition["message"], what
    assert not harness.journal.store_keys()
    assert not cluster.api.list(JOBS, namespace)


def test_undefined_fields_are_dropped_without_strict_validation(
    cluster: ControlPlane, namespace: str
) -> None:
    jobs = {
        "serviceAccountName": "detnas",
        "volumes": [{"name": "a", "hostPath": {"path": "/"}}],
        "template": {"spec": {"hostNetwork": True}},
    }
    document = manifest("one", {"jobs": {"image": "trainer:1", **jobs}})
    stored = cluster.api.create(document, namespace)
    assert stored["spec"]["jobs"] == {"image": "trainer:1"}


SETTINGS = OperatorSettings.model_validate(
    {
        "trainer": {"image": "trainer:1"},
        "tenants": [{"namespace": "mine", "credentialsSecret": "my-keys"}],
        "storage": {"endpoint": "https://s3.example", "allowed": [ROOT], "default": ROOT},
        "jobs": {"env": {"HTTPS_PROXY": "http://proxy"}},
    }
)


def resource(spec: dict[str, Any] | None = None, namespace: str = "mine") -> SearchView:
    metadata = {"name": "one", "namespace": namespace, "uid": "0123456789", "generation": 1}
    return SearchView(manifest("one", spec) | {"metadata": metadata})


@pytest.mark.parametrize(
    "spec",
    [
        {"base": {"model": "faster-rcnn-r18-fpn", "weights": "s3://others/theirs.pth"}},
        {"dataset": {**DATA, "source": {"s3": "s3://others/theirs"}}},
        {"jobs": {"image": "evil.example/trainer:1", "imagePullSecrets": ["any"]}},
    ],
)
def test_job_reads_foreign_sources_with_the_tenants_own_credentials(spec: dict[str, Any]) -> None:
    admitted = admit(resource(spec), SETTINGS)
    assert isinstance(admitted, Admitted)
    for verb in Verb:
        order = JobOrder(
            owner=Owner("one", "mine", "0123456789"),
            job_id=JobId(verb),
            folder="mine/searches/one-01234567/base",
            store=admitted.root,
            spec=admitted.manifest.spec,
            image=admitted.image,
        )
        job = job_manifest(order, SETTINGS, admitted.tenant)
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["serviceAccountName"] == "detnas-trainer"
        assert container["envFrom"] == [{"secretRef": {"name": "my-keys"}}]
        env = {one["name"]: one["value"] for one in container["env"]}
        assert env["AWS_ENDPOINT_URL"] == "https://s3.example"
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()


def test_admission_refuses_a_namespace_that_is_no_tenant() -> None:
    refusal = admit(resource(namespace="theirs"), SETTINGS)
    assert isinstance(refusal, Reason)
    assert refusal.code == "CredentialsMissing"


def test_admission_refuses_weights_at_a_url() -> None:
    base = {"model": "faster-rcnn-r18-fpn", "weights": "https://example.com/r18.pth"}
    refusal = admit(resource({"base": base}), SETTINGS)
    assert isinstance(refusal, Reason)
    assert refusal.code == "InvalidSpec"
    assert "spec.base.weights: https:// addresses are not supported" in refusal.message


def test_forged_record_changes_neither_identity_nor_pods_of_a_search() -> None:
    current = parse(resource())
    forged = parse(
        resource(
            {
                "dataset": {**DATA, "source": {"s3": "s3://others/theirs"}},
                "jobs": {"image": "evil:1", "runtimeClassName": "privileged"},
                "warmStart": {"from": "s3://others/root/theirs/searches/x-01234567"},
                "storage": {"uri": "s3://others/root", "onDelete": "Delete"},
                "teachers": {**manifest("one")["spec"]["teachers"], "pool": "s3://a/b/pools/c"},
                "suspend": True,
            },
            namespace="theirs",
        )
    )
    merged = with_changeable_fields_of(forged, current)
    assert merged == current


def test_record_defines_what_a_search_evaluates() -> None:
    recorded = parse(resource({"evaluation": {"epochs": 7}}))
    merged = with_changeable_fields_of(recorded, parse(resource()))
    assert merged.spec.evaluation.epochs == 7
