"""How a Job stands that has not failed, from objects as the API server writes them."""

from datetime import timedelta
from typing import Any

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.state import Failed, Running, Succeeded, Terminating, Waiting
from tests.operator.job_state.objects import (
    BACK_OFF,
    NOW,
    START,
    WORKERS,
    a_job,
    a_pod,
    at,
    disrupted,
    ended,
    running,
    unscheduled,
    waiting,
)

QUEUE = {"kueue.x-k8s.io/queue-name": "research"}


SCHEDULER = "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."


CLAIM = '0/5 nodes are available: persistentvolumeclaim "coco" not found.'


CLAIMS = (
    "0/5 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    'persistentvolumeclaim "coco" is being deleted.',
    "0/5 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name.",
    "0/5 nodes are available: 5 node(s) had volume node affinity conflict.",
    "0/5 nodes are available: 5 node(s) didn't match PersistentVolume's node affinity.",
    "0/5 nodes are available: 5 node(s) didn't find available persistent volumes to bind.",
    "5 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already",
)


PULL = 'Back-off pulling image "nowhere/trainer:1": ErrImagePull: not found'


SYNC = "failed to sync secret cache: timed out waiting for the condition"


SECRET = 'secret "detnas-s3" not found'


FOUND_NO_NODE = unscheduled(SCHEDULER)


WAITING: list[tuple[Any, list[Any], ReasonCode, list[str]]] = [
    (a_job(spec={"suspend": True}, labels=QUEUE), [], ReasonCode.QUEUED, ["Kueue", "research"]),
    (a_job(spec={"suspend": True}), [], ReasonCode.SUSPENDED, ["not by this operator"]),
    (
        a_job(active=1),
        [FOUND_NO_NODE],
        ReasonCode.UNSCHEDULABLE,
        [SCHEDULER.rstrip("."), "r18-t0007-x1", "teachers.gpusPerWorker to 0 in a new search"],
    ),
    (
        a_job(active=1),
        [unscheduled("0/5 nodes are available: 5 Insufficient memory.")],
        ReasonCode.UNSCHEDULABLE,
        [
            "5 Insufficient memory; free or add nodes",
            "spec.jobs (resources",
            "then delete the Job; it will be recreated",
        ],
    ),
    (
        a_job(active=1),
        [unscheduled("0/5 nodes are available: 5 node(s) had untolerated taint {volume-tier: a}.")],
        ReasonCode.UNSCHEDULABLE,
        ["volume-tier", "spec.jobs (resources, nodeSelector, tolerations"],
    ),
    (a_job(active=1), [unscheduled(CLAIM)], ReasonCode.DATA_MISSING, ["coco", "spec.dataset"]),
    *(
        (
            a_job(active=1),
            [unscheduled(words)],
            ReasonCode.UNSCHEDULABLE,
            [words.rstrip("."), "kubectl describe pvc coco"],
        )
        for words in CLAIMS
    ),
    (
        a_job(active=1),
        [unscheduled("Scheduling is blocked", "SchedulingGated")],
        ReasonCode.QUEUED,
        ["scheduling gate"],
    ),
    (
        a_job(active=1),
        [waiting("ImagePullBackOff", PULL)],
        ReasonCode.IMAGE_PULL,
        [
            PULL,
            "gpu-1",
            "put the image there",
            "imagePullSecrets, then delete the Job; it will be recreated",
        ],
    ),
    (
        a_job(active=1),
        [waiting("ErrImagePull", "pull:\n  denied")],
        ReasonCode.IMAGE_PULL,
        ["pull: denied"],
    ),
    (a_job(active=1), [waiting("InvalidImageName")], ReasonCode.IMAGE_PULL, ["InvalidImage"]),
    (
        a_job(active=1),
        [waiting("CreateContainerConfigError", SECRET)],
        ReasonCode.CREDENTIALS_MISSING,
        [SECRET, "AWS_ACCESS_KEY_ID"],
    ),
    (
        a_job(active=1),
        [waiting("CreateContainerConfigError", "container has runAsNonRoot")],
        ReasonCode.CONTAINER_REFUSED,
        ["runAsNonRoot"],
    ),
    (
        a_job(active=1),
        [waiting("CreateContainerConfigError", SYNC, startTime=at(270))],
        ReasonCode.STARTING,
        [SYNC],
    ),
    (
        a_job(active=1),
        [waiting("CreateContainerConfigError", SYNC)],
        ReasonCode.CONTAINER_REFUSED,
        [f"CreateContainerConfigError: {SYNC}"],
    ),
    (
        a_job(active=1),
        [waiting("CreateContainerConfigError", 'secret "wandb" not found')],
        ReasonCode.CONTAINER_REFUSED,
        ['secret "wandb" not found'],
    ),
    (
        a_job(active=1),
        [waiting("ContainerCreating", startTime=at(280))],
        ReasonCode.STARTING,
        ["starts on node gpu-1"],
    ),
    (
        a_job(active=1),
        [waiting("ContainerCreating", startTime=at(200))],
        ReasonCode.NOT_STARTING,
        ["since ", "no event says", "kubectl describe pod r18-t0007-x1"],
    ),
    (a_job(active=1), [a_pod(node="", made=240)], ReasonCode.STARTING, ["waits for a node"]),
    (
        a_job(active=1),
        [a_pod(node="")],
        ReasonCode.UNSCHEDULABLE,
        ["waits for a node since 12:00 UTC", "no scheduler", "default-scheduler"],
    ),
    (a_job(active=1), [], ReasonCode.STARTING, ["are starting"]),
    (a_job(startTime=at(290)), [], ReasonCode.STARTING, ["about to create"]),
    (a_job(startTime=None), [], ReasonCode.STARTING, ["about to create"]),
    (a_job(), [], ReasonCode.RETRYING, ["no event says that it is refused", "10 minutes"]),
    (a_job(spec=WORKERS), [running()], ReasonCode.RETRYING, ["lacks a pod"]),
    (a_job(failed=1), [], ReasonCode.RETRYING, ["another attempt"]),
    (
        a_job(failed=1),
        [ended(1, message="Traceback\nRuntimeError: no such file")],
        ReasonCode.RETRYING,
        ["exit 1", "its last line: RuntimeError: no such file", "10 minutes"],
    ),
    (
        a_job(),
        [disrupted(143, "PreemptionByScheduler", "default-scheduler: preempting")],
        ReasonCode.RETRYING,
        ["PreemptionByScheduler", "preempting"],
    ),
    (
        a_job(active=1),
        [running(deleted=at(60))],
        ReasonCode.NODE_LOST,
        ["gpu-1", "out-of-service"],
    ),
    (
        a_job(active=1),
        [running(conditions=[{"type": "Ready", "status": "False"}])],
        ReasonCode.NODE_LOST,
        ["node gpu-1 of pod r18-t0007-x1 is not ready", "out-of-service"],
    ),
]


@pytest.mark.parametrize(("job", "pods", "reason", "words"), WAITING)
def test_waiting_state_names_reason_and_remedy(
    job: JobView, pods: list[PodView], reason: ReasonCode, words: list[str]
) -> None:
    state = job_state(job, pods, NOW)
    assert isinstance(state, Waiting)
    assert state.code == reason
    assert not [word for word in words if word not in state.message], state.message
    assert "\n" not in state.message


QUOTA = (
    'pods "r18-t0007-" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=4, '
    "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8"
)


NO_ACCOUNT = (
    'pods "r18-t0007-" is forbidden: error looking up service account team-a/trainer: '
    'serviceaccount "trainer" not found'
)


UNSIGNED = 'admission webhook "images.example.org" denied the request: unsigned image'


REFUSED = [
    (QUOTA, ReasonCode.QUOTA_EXCEEDED),
    (NO_ACCOUNT, ReasonCode.CREDENTIALS_MISSING),
    (UNSIGNED, ReasonCode.PODS_REFUSED),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_waiting_state_quotes_a_refusal_of_pods(words: str, reason: str) -> None:
    for job, pods in ((a_job(), []), (a_job(failed=1), [ended(1)]), (a_job(failed=1), [])):
        state = job_state(job, pods, NOW, words)
        assert isinstance(state, Waiting)
        assert state.code == reason
        assert words in state.message


def test_waiting_state_stays_retrying_however_long_it_lasts() -> None:
    for job, pods in ((a_job(), []), (a_job(failed=1), [ended(1)]), (a_job(failed=1), [])):
        state = job_state(job, pods, NOW + timedelta(hours=1))
        assert isinstance(state, Waiting)
        assert state.code == ReasonCode.RETRYING


def test_running_state_begins_with_its_pod() -> None:
    assert job_state(a_job(active=1, ready=1), [running(since=30)], NOW) == Running(
        START + timedelta(seconds=30)
    )
    earlier = [ended(75, name="x0"), running(name="x1", since=230)]
    assert job_state(a_job(active=1), earlier, NOW) == Running(START + timedelta(seconds=230))
    assert job_state(a_job(active=1, ready=1), [], NOW) == Running(START), "pods were not listed"


def test_state_ignores_pods_of_a_deleted_namesake() -> None:
    before = running()
    before.body["metadata"]["ownerReferences"][0]["uid"] = "the Job before"
    assert job_state(a_job(active=1), [before], NOW) == job_state(a_job(active=1), [], NOW)


def test_running_state_lasts_through_the_grace_period() -> None:
    assert isinstance(job_state(a_job(active=1), [running(deleted=at(250))], NOW), Running)


def test_running_state_requires_all_workers() -> None:
    def worker(index: int, since: float) -> PodView:
        return running(f"pool-{index}", since, index=index)

    job = a_job(spec=WORKERS, active=3, ready=3)
    together = job_state(job, [worker(0, 30), worker(1, 50), worker(2, 40)], NOW)
    assert together == Running(START + timedelta(seconds=50))
    pending = waiting("ContainerCreating", name="pool-1", index=1)
    stuck = waiting("ImagePullBackOff", PULL, name="pool-2", index=2)
    state = job_state(job, [worker(0, 30), pending, stuck], NOW)
    assert isinstance(state, Waiting)
    assert state.code == ReasonCode.IMAGE_PULL, "what someone must fix is reported first"
    alone = job_state(job, [worker(0, 30), worker(1, 50), ended(137, "pool-2", index=2)], NOW)
    assert isinstance(alone, Waiting)
    assert alone.code == ReasonCode.RETRYING
    assert "pool-2" in alone.message
    assert isinstance(job_state(a_job(spec=WORKERS, active=3, ready=2), [], NOW), Waiting)


def test_succeeded_state_requires_a_complete_job() -> None:
    reached = ("CompletionsReached", "Reached expected number of succeeded pods")
    done = a_job({"SuccessCriteriaMet": reached, "Complete": reached}, succeeded=1)
    assert job_state(done, [], NOW) == Succeeded()
    for early in (
        job_state(a_job({"SuccessCriteriaMet": reached}, active=1), [running()], NOW),
        job_state(a_job(), [ended(0)], NOW),
    ):
        assert isinstance(early, Terminating)
        assert not early.deleted


def test_failure_target_is_terminating_until_the_last_pod_ends() -> None:
    state = job_state(
        a_job({"FailureTarget": ("PodFailurePolicy", "exit 42")}, active=1), [running()], NOW
    )
    assert isinstance(state, Terminating)
    assert not state.deleted


def test_deleted_job_is_terminating_unless_it_has_failed() -> None:
    state = job_state(a_job(failed=1, deleted=True), [ended(1)], NOW)
    assert isinstance(state, Terminating)
    assert state.deleted
    failed = job_state(a_job(BACK_OFF, deleted=True), [ended(1)], NOW)
    assert isinstance(failed, Failed), "whatever deletes it, its time to live for one"
