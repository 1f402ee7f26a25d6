"""What a Job asks of the cluster: read from its manifest, as an administrator would."""

import re

import pytest

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.manifest import job_manifest, service_manifest
from detnas_operator.job.names import job_name, service_name
from tests.cluster.searches import PHASES
from tests.operator.job.orders import (
    FOLDERS,
    IMAGE,
    NUMBERS,
    SETTINGS,
    TENANT,
    TYPED,
    container,
    env,
    made,
    order,
    pod,
)

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (Verb.PREPARE, "r18-prepare"),
        (Verb.BASE, "r18-base"),
        (Verb.POOL, "r18-pool-1"),
        (Verb.EVALUATE, "r18-t0007"),
        (Verb.SUBNETS, "r18-s0025"),
        (Verb.EXTRACT, "r18-extract-0031"),
        (Verb.FINETUNE, "r18-finetune"),
        (Verb.BASELINE, "r18-baseline-continued"),
        (Verb.TEST, "r18-test"),
        (Verb.EXPORT, "r18-export"),
    ],
)
def test_job_manifest_has_owner_labels_folder_and_command(verb: Verb, name: str) -> None:
    job = made(verb)
    metadata = job["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (name, "team-a")
    labels = {
        "app.kubernetes.io/name": "detnas-trainer",
        "app.kubernetes.io/managed-by": "detnas",
        "detnas.dev/search": "r18",
        "detnas.dev/verb": verb,
        "detnas.dev/number": str(NUMBERS.get(verb, 0)),
    }
    assert metadata["labels"] == labels
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    assert metadata["annotations"] == {"detnas.dev/folder": FOLDERS[verb]}
    (owner,) = metadata["ownerReferences"]
    assert owner == {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "name": "r18",
        "uid": "0123abcd-0000-4000-8000-000000000000",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    uri = f"s3://bucket/prefix/{FOLDERS[verb]}"
    assert container(job)["command"] == ["detnas-trainer", verb, uri]
    assert container(job)["image"] == IMAGE
    assert service_manifest(order(verb)) is None


def test_job_name_of_another_winner_differs() -> None:
    finetune, export = JobId(Verb.FINETUNE, 13), JobId(Verb.EXPORT)
    assert job_name("r18", finetune, "n/searches/r18-1/finetune-0012") == "r18-finetune-0012"
    assert job_name("r18", export, "n/searches/r18-1/students/best-0012") == "r18-export-0012"
    base = "n/searches/r18-1/students/best-base"
    assert job_name("r18", export, base) == "r18-exportbase"
    again = "n/searches/r18-1/students/best-0012-2"
    assert job_name("r18", export, again) == "r18-export-0012-2"


@pytest.mark.parametrize("length", [1, 40, 48, 63, 100])
def test_job_names_are_short_and_distinct(length: int) -> None:
    names = set()
    searches = ("a" * length, "a" * (length - 1) + "b", "a" + "-" * length + "b")
    for search in searches:
        jobs = [JobId(verb, NUMBERS.get(verb, 0)) for verb in Verb] + [
            JobId(Verb.EVALUATE, 1_000_000),
            JobId(Verb.POOL, 7),
        ]
        made = [job_name(search, job_id, "n/searches/s-1/best") for job_id in jobs]
        made.append(job_name(search, JobId(Verb.FINETUNE, 1_000_001), "n/searches/s-1/tuned"))
        assert all(len(f"{name}-255") <= 63 for name in made if "-pool-" in name), made
        made.append(service_name(search))
        assert all(len(name) <= 63 and DNS_LABEL.fullmatch(name) for name in made), made
        names |= set(made)
    assert len(names) == 14 * len(searches)


def test_failure_policy_ignores_disruptions_and_ends_on_final_exit_codes() -> None:
    spec = made(spec={"limits": {"retries": 3}})["spec"]
    assert spec["backoffLimit"] == 3
    assert pod({"spec": spec})["restartPolicy"] == "Never"
    disrupted, resumed, over = spec["podFailurePolicy"]["rules"]
    assert disrupted["action"] == resumed["action"] == "Ignore"
    assert disrupted["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert resumed["onExitCodes"]["values"] == [75]
    assert over["action"] == "FailJob"
    assert over["onExitCodes"]["values"] == [2, 42, 43, 44]
    assert "ttlSecondsAfterFinished" not in spec, "the result may not be durable yet"


def test_job_manifest_has_the_deadline_of_its_verb() -> None:
    fields = {
        Verb.PREPARE: "prepare",
        Verb.BASE: "base",
        Verb.POOL: "poolPhase",
        **dict.fromkeys((Verb.EVALUATE, Verb.SUBNETS, Verb.EXTRACT), "trial"),
        Verb.FINETUNE: "finetune",
        Verb.BASELINE: "baseline",
        Verb.TEST: "test",
        Verb.EXPORT: "export",
    }
    deadlines = {name: 100 + number for number, name in enumerate(dict.fromkeys(fields.values()))}
    for verb in Verb:
        spec = made(verb, {"deadlines": deadlines})["spec"]
        assert spec["activeDeadlineSeconds"] == deadlines[fields[verb]]
    assert "activeDeadlineSeconds" not in made()["spec"]


@pytest.mark.parametrize(
    ("verb", "gpus"),
    [
        (Verb.PREPARE, None),
        (Verb.BASE, "8"),
        (Verb.POOL, "2"),
        (Verb.EVALUATE, "4"),
        (Verb.FINETUNE, "3"),
        (Verb.BASELINE, "3"),
        (Verb.TEST, "4"),
        (Verb.EXPORT, "1"),
    ],
)
def test_job_manifest_has_the_gpus_of_its_verb_and_hides_them_without(
    verb: Verb, gpus: str | None
) -> None:
    sections = {
        "base": {"model": "faster-rcnn-r18-fpn", "train": {}, "gpus": 8},
        "evaluation": {"gpus": 4},
        "finetune": {"gpus": 3},
        "teachers": {"gpusPerWorker": 2},
    }
    job = made(verb, sections)
    assert container(job)["resources"].get("limits", {}).get("nvidia.com/gpu") == gpus
    assert (env(job).get("NVIDIA_VISIBLE_DEVICES") == "void") == (gpus is None)


def test_job_manifest_without_gpus_requests_none() -> None:
    only_disk = {"requests": {"ephemeral-storage": "2Gi"}}
    assert container(made(spec={"evaluation": {"gpus": 0}}))["resources"] == only_disk
    assert container(made(Verb.EXPORT, {"evaluation": {"gpus": 0}}))["resources"] == only_disk


def test_job_manifest_passes_typed_fields_to_the_pod() -> None:
    job = made(spec={"jobs": TYPED})
    spec = pod(job)
    asked = {"cpu": "3500m", "memory": "32Gi", "ephemeral-storage": "60Gi", "nvidia.com/gpu": "1"}
    assert container(job)["resources"] == {"requests": asked, "limits": asked}
    assert env(job)["OMP_NUM_THREADS"] == "3"
    assert spec["nodeSelector"] == {"accelerator": "a100"}
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {
            "key": "spot",
            "operator": "Equal",
            "value": "true",
            "effect": "NoExecute",
            "tolerationSeconds": 60,
        },
    ]
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("research", "nvidia")
    assert spec["terminationGracePeriodSeconds"] == 300
    assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "own"}]
    assert container(job)["imagePullPolicy"] == "Always"
    metadata = job["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "vision"
    assert metadata["annotations"] == {"example.org/cost": "42"}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert volumes["cache"]["emptyDir"] == {"sizeLimit": "20Gi"}


def test_pod_labels_of_the_user_never_replace_the_operators() -> None:
    one = order(spec={"jobs": {"podLabels": {"team": "vision"}}})
    jobs = one.spec.jobs.model_copy(
        update={
            "pod_labels": {
                "team": "vision",
                "detnas.dev/search": "other",
                "kueue.x-k8s.io/queue-name": "free",
                "batch.kubernetes.io/job-name": "other",
                "app.kubernetes.io/managed-by": "me",
            },
            "pod_annotations": {"detnas.dev/folder": "elsewhere"},
        }
    )
    spec = one.spec.model_copy(update={"jobs": jobs})
    accepted_long_ago = type(one)(one.owner, one.job_id, one.folder, one.store, spec, one.image)
    metadata = job_manifest(accepted_long_ago, SETTINGS, TENANT)["spec"]["template"]["metadata"]
    expected = made(spec={"jobs": {"podLabels": {"team": "vision"}}})
    assert metadata == expected["spec"]["template"]["metadata"]


def test_queued_job_starts_suspended_with_the_queues_label() -> None:
    job = made(spec={"jobs": {"queueName": "research"}})
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert job["spec"]["suspend"] is True
    pods = job["spec"]["template"]["metadata"]["labels"]
    assert "kueue.x-k8s.io/queue-name" not in pods, "Kueue would also manage each pod"
    assert "suspend" not in made()["spec"]


def test_queued_job_has_kueues_priority_and_time_labels() -> None:
    topology = {"kueue.x-k8s.io/podset-required-topology": "example.org/rack"}
    queued = {"queueName": "research", "queuePriorityClass": "low", "queueSeconds": 3600}
    job = made(Verb.POOL, {"jobs": {**queued, "podAnnotations": topology}})
    labels = job["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/priority-class"] == "low"
    assert labels["kueue.x-k8s.io/max-exec-time-seconds"] == "3600"
    assert job["spec"]["template"]["metadata"]["annotations"] == topology


def test_queued_job_forbids_partial_admission() -> None:
    several = {"teachers": {"phases": PHASES, "workers": 3}, "jobs": {"queueName": "research"}}
    for job in (made(Verb.POOL, several), made(spec={"jobs": {"queueName": "research"}})):
        assert "kueue.x-k8s.io/job-min-parallelism" not in job["metadata"]["annotations"]


def test_pod_mounts_the_claim_read_only_or_reads_s3() -> None:
    claimed = made()
    volume = pod(claimed)["volumes"][-1]
    assert volume["persistentVolumeClaim"] == {"claimName": "data", "readOnly": True}
    mount = container(claimed)["volumeMounts"][-1]
    assert mount == {"name": "data", "mountPath": "/data", "readOnly": True}
    dataset = {"source": {"s3": "s3://data/coco"}, "train": "t.json", "val": "v.json"}
    fetched = made(spec={"dataset": dataset})
    assert [volume["name"] for volume in pod(fetched)["volumes"]] == ["tmp", "cache", "shm"]
    assert len(container(fetched)["volumeMounts"]) == 3


@pytest.mark.parametrize(("grace", "stop"), [(120, 95), (30, 15), (1, 1)])
def test_stop_seconds_leave_time_within_the_grace_period(grace: int, stop: int) -> None:
    job = made(spec={"jobs": {"terminationGracePeriodSeconds": grace}})
    assert pod(job)["terminationGracePeriodSeconds"] == grace
    assert env(job)["DETNAS_STOP_SECONDS"] == str(stop)


def test_container_has_the_endpoint_and_the_tenants_credentials() -> None:
    job = made()
    assert env(job) == {
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "4",
        "OPENCV_FOR_THREADS_NUM": "4",
        "DETNAS_KEEP_LOG": "1",
        "DETNAS_TERMINATION_LOG": "/dev/termination-log",
        "DETNAS_STOP_SECONDS": "95",
        "HTTPS_PROXY": "http://proxy:3128",
        "AWS_ENDPOINT_URL": "http://seaweed:8333",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": "/tmp",
        "DETNAS_CACHE": "/cache",
    }
    assert container(job)["envFrom"] == [{"secretRef": {"name": "detnas-s3"}}]
    assert pod(job)["serviceAccountName"] == "trainer"
    assert pod(job)["automountServiceAccountToken"] is False


def test_container_with_a_workload_identity_has_no_secret_or_endpoint() -> None:
    settings = OperatorSettings.model_validate(
        {"trainer": {"image": "t:1"}, "storage": {"allowed": ["s3://bucket"]}}
    )
    job = made(settings=settings, tenant=Tenant(namespace="*"))
    assert "envFrom" not in container(job)
    assert "AWS_ENDPOINT_URL" not in env(job)
    assert pod(job)["serviceAccountName"] == "detnas-trainer"
    assert "imagePullSecrets" not in pod(job)
