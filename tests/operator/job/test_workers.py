"""What the Job of several workers also requires of the cluster."""

from detnas.records.verbs import Verb
from detnas_operator.job.manifest import job_manifest, service_manifest
from tests.operator.job.orders import FOLDERS, SETTINGS, TENANT, container, env, made, order, pod

WORKERS = {"teachers": {"workers": 4, "gpusPerWorker": 8}, "limits": {"retries": 2}}


def test_pool_job_of_several_workers_names_the_rendezvous_and_its_service() -> None:
    one = order(Verb.POOL, WORKERS)
    job, service = job_manifest(one, SETTINGS, TENANT), service_manifest(one)
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 4
    assert spec["backoffLimit"] == 8, "one lost rank may end all of them"
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    uri = f"s3://bucket/prefix/{FOLDERS[Verb.POOL]}"
    assert container(job)["command"] == ["detnas-trainer", "launch", "pool", uri]
    assert container(job)["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    variables = env(job)
    assert variables["DETNAS_WORKERS"] == "4"
    assert variables["DETNAS_PROCESSES_PER_WORKER"] == "8"
    assert variables["DETNAS_RENDEZVOUS"] == "r18-pool-1-0.r18-pool:29500"
    assert "JOB_COMPLETION_INDEX" not in variables, "the Job controller sets it"
    assert service is not None
    assert service["metadata"]["name"] == pod(job)["subdomain"] == "r18-pool"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["metadata"]["ownerReferences"] == job["metadata"]["ownerReferences"]
    labels = spec["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_service_selects_only_the_workers_of_the_searchs_pool() -> None:
    service = service_manifest(order(Verb.POOL, WORKERS))
    assert service is not None
    selector = service["spec"]["selector"]
    trial = made()["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= trial.items()
    assert selector["detnas.dev/search"] == "r18"
    later = order(Verb.POOL, WORKERS, folder="team-a/pools/3f/phase-2")
    assert service_manifest(later) == service, "made once for all phases"


def test_pool_workers_without_gpus_run_one_process_each() -> None:
    job = made(Verb.POOL, {"teachers": {"workers": 2, "gpusPerWorker": 0}})
    assert env(job)["DETNAS_PROCESSES_PER_WORKER"] == "1"
    assert env(job)["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_trial_job_has_one_worker() -> None:
    job = made(Verb.EVALUATE, WORKERS)
    assert "completionMode" not in job["spec"]
    assert job["spec"]["backoffLimit"] == 2
    assert service_manifest(order(Verb.EVALUATE, WORKERS)) is None


def test_pod_with_several_gpus_launches_a_process_for_each() -> None:
    spec = {
        "evaluation": {"gpus": 4, "batchSize": 8},
        "jobs": {"resources": {"cpu": "9"}},
    }
    job = made(Verb.EVALUATE, spec)
    uri = f"s3://bucket/prefix/{FOLDERS[Verb.EVALUATE]}"
    assert container(job)["command"] == ["detnas-trainer", "launch", "evaluate", uri]
    variables = env(job)
    assert variables["DETNAS_PROCESSES_PER_WORKER"] == "4"
    assert (variables["DETNAS_WORKERS"], variables["JOB_COMPLETION_INDEX"]) == ("1", "0")
    assert variables["OMP_NUM_THREADS"] == "2", "each process has its share of the cores"
    assert "completionMode" not in job["spec"]
    assert service_manifest(order(Verb.EVALUATE, spec)) is None


def test_pod_with_one_gpu_runs_the_job_itself() -> None:
    job = made(Verb.EVALUATE)
    assert container(job)["command"][:2] == ["detnas-trainer", "evaluate"]
    assert "DETNAS_PROCESSES_PER_WORKER" not in env(job)
