"""Pods to which the cluster adds containers: proxies, init containers, native sidecars."""

from datetime import timedelta
from typing import Any

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.cluster.labels import ENDED_PODS
from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import PodView
from detnas_operator.cluster.slimming import slim_job
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.ended_pods import (
    ended_pods_annotation,
    own_pods,
    recorded_pods,
)
from detnas_operator.job_state.failures import culprit, latest_failure
from detnas_operator.job_state.pods import job_is_kept_alive, pods_to_end
from detnas_operator.job_state.state import Failed, FailureKind, Running, Waiting
from detnas_operator.search_jobs.gpu_time import pod_seconds, resumptions
from tests.operator.job_state.objects import (
    BACK_OFF,
    NOW,
    WORKERS,
    a_job,
    at,
    ended,
    running,
    waiting,
)

RUNS = {"running": {"startedAt": at(20)}}
ENDED_WELL = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": at(10)}}
FAILED = {
    "terminated": {
        "exitCode": 3,
        "reason": "Error",
        "message": "no token\nfor vault",
        "finishedAt": at(12),
    }
}
IN_A_LOOP = {
    "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}
}
INITIALIZING = {"waiting": {"reason": "PodInitializing"}}


def changed(pod: PodView, **parts: Object) -> PodView:
    """The pod with other fields in these parts."""
    return PodView({**pod.body, **{part: {**pod.body[part], **parts[part]} for part in parts}})


def beside(pod: PodView, first: bool = True, **states: Object) -> PodView:
    """The pod with further containers, before or after the trainer."""
    more = [{"name": name, "state": state} for name, state in states.items()]
    known = pod.status.get("containerStatuses", [])
    found = [*more, *known] if first else [*known, *more]
    return changed(pod, status={"containerStatuses": found})


def before(pod: PodView, sidecar: bool = False, **status: Any) -> PodView:
    """The pod with an init container ``vault``; a native sidecar runs on."""
    policy = {"restartPolicy": "Always"} if sidecar else {}
    spec = {"initContainers": [{"name": "vault", **policy}]}
    return changed(pod, spec=spec, status={"initContainerStatuses": [{"name": "vault", **status}]})


def alive(code: int, first: bool = True, reason: str = "", **more: Any) -> PodView:
    """A pod whose trainer ended, and whose proxy runs on."""
    pod = beside(ended(code, reason=reason, **more), first, proxy=RUNS)
    return changed(pod, metadata={"uid": f"uid of {pod.name}"}, status={"phase": "Running"})


def annotated(job: JobView, text: str) -> JobView:
    """The Job with a record of ended pods."""
    metadata = {**job.body["metadata"], "annotations": {ENDED_PODS: text}}
    return JobView({**job.body, "metadata": metadata})


@pytest.mark.parametrize("first", [True, False])
def test_state_of_a_trainer_beside_sidecars_is_as_alone(first: bool) -> None:
    job = a_job(active=1)
    assert isinstance(job_state(job, [beside(running(), first, proxy=RUNS)], NOW), Running)
    state = job_state(job, [alive(1, first)], NOW)
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.STOPPING
    assert "still running: proxy" in state.message
    assert [pod.name for pod in pods_to_end(job, [alive(1, first)])] == ["r18-t0007-x1"]


def test_pods_to_end_are_only_those_kept_alive_by_a_sidecar() -> None:
    job = a_job(active=1)
    left_alone = [
        alive(0),
        beside(running(), proxy=FAILED),
        ended(1),
        alive(1, deleted=at(290)),
        before(changed(ended(1), status={"phase": "Running"}), True, state=RUNS),
    ]
    assert [pods_to_end(job, [pod]) for pod in left_alone] == [[]] * 5
    stranger = alive(1)
    stranger.body["metadata"]["ownerReferences"][0]["uid"] = "another Job"
    assert pods_to_end(job, [stranger]) == []


def test_job_is_kept_alive_once_the_first_workers_trainer_has_ended() -> None:
    job = a_job(spec=WORKERS, active=3)
    assert job_is_kept_alive(job, [alive(0, index=0)], trainer_succeeded=True)
    assert job_is_kept_alive(job, [alive(1, index=0)])
    assert not job_is_kept_alive(job, [alive(1, index=0)], trainer_succeeded=True)
    assert not job_is_kept_alive(job, [running(index=0), alive(0, index=1)])


def test_record_of_an_ended_pod_outlives_it() -> None:
    job = a_job(BACK_OFF, failed=1)
    seen = alive(137, reason="OOMKilled", message="epoch 2\nloading", startTime=at(0))
    job = annotated(job, ended_pods_annotation(job, [seen], NOW))
    state = job_state(job, [], NOW)
    assert isinstance(state, Failed)
    assert (state.kind, state.exit_code) == (FailureKind.OUT_OF_MEMORY, 137)
    assert "r18-t0007-x1" in state.message
    assert "its last line: epoch 2 loading" in state.message
    later = NOW + timedelta(minutes=5)
    assert pod_seconds(own_pods(job, []), later) == 300, "until it was deleted"
    assert own_pods(job, [seen]) == [seen], "once"
    again = ended_pods_annotation(job, [seen, alive(75, name="x2")], later)
    job = annotated(job, again)
    assert [pod.name for pod in recorded_pods(job)] == ["r18-t0007-x1", "x2"]
    assert recorded_pods(job)[0].body["metadata"]["deletionTimestamp"] == at(300), (
        "it was not changed"
    )
    assert resumptions(own_pods(job, [])) == 1


def test_job_with_a_recorded_ended_pod_still_runs() -> None:
    job = a_job(active=1, ready=1, failed=1)
    job = annotated(job, ended_pods_annotation(job, [alive(1)], NOW))
    assert isinstance(job_state(job, [], NOW), Running), "nobody listed its pods"
    assert isinstance(job_state(job, [running("x2")], NOW), Running)


def test_record_of_many_ended_pods_fits_the_cache() -> None:
    job, many = a_job(), [alive(1, message="ä" * 5000, name=f"x{n}") for n in range(30)]
    job.body["metadata"]["namespace"] = "team-a"
    job = annotated(job, ended_pods_annotation(job, many, NOW))
    kept = [pod.name for pod in recorded_pods(JobView(slim_job(job.body)))]
    assert len(kept) >= 5
    assert kept[-1] == "x29"


def test_record_with_times_without_a_zone_is_ignored() -> None:
    job = a_job()
    text = ended_pods_annotation(job, [alive(1, startTime=at(0)), alive(1, name="x2")], NOW)
    job = annotated(job, text.replace('Z"', '"'))
    assert latest_failure(own_pods(job, [ended(1, name="x3")])) is not None
    assert recorded_pods(job) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"uid": 1}]', '{"a": 1}', "null"])
def test_malformed_record_of_ended_pods_is_ignored(text: str) -> None:
    job = a_job()
    job = annotated(job, text)
    assert recorded_pods(job) == []


def test_pod_seconds_end_with_the_last_container() -> None:
    assert pod_seconds([alive(0, startTime=at(0))], NOW) == 300
    gone = beside(ended(0, startTime=at(0)), proxy={"terminated": {"finishedAt": at(250)}})
    assert pod_seconds([gone], NOW) == 250


def test_failed_state_names_a_failed_init_container() -> None:
    pod = before(
        changed(waiting("PodInitializing"), status={"phase": "Failed"}),
        state=FAILED,
    )
    state = job_state(a_job(BACK_OFF, failed=1), [pod], NOW)
    assert isinstance(state, Failed)
    assert (state.kind, state.exit_code) == (FailureKind.OTHER_CONTAINER, None)
    assert "its init container vault ended with exit 3 (Error: no token for vault)" in state.message
    assert culprit(pod) == "vault"


def test_failed_state_names_a_failed_sidecar() -> None:
    pod = beside(ended(0), proxy=FAILED)
    pod.body["status"]["phase"] = "Failed"
    state = job_state(a_job(BACK_OFF, failed=1), [pod], NOW)
    assert isinstance(state, Failed)
    assert "its container proxy ended with exit 3" in state.message
    assert culprit(beside(ended(1), proxy=FAILED)) == "trainer"


WAITS: list[tuple[PodView, ReasonCode, list[str]]] = [
    (
        before(waiting("PodInitializing"), state=RUNS),
        ReasonCode.INIT_CONTAINER,
        [
            "waits for its init container vault",
            "which has been running since 12:00 UTC and has not ended",
        ],
    ),
    (
        before(waiting("PodInitializing"), True, state=RUNS, started=False),
        ReasonCode.INIT_CONTAINER,
        ["vault", "has not started"],
    ),
    (
        before(waiting("PodInitializing"), True, state=IN_A_LOOP, lastState=FAILED),
        ReasonCode.INIT_CONTAINER,
        ["does not start its init container vault: CrashLoopBackOff", "exit 3", "no token"],
    ),
    (
        before(
            waiting("PodInitializing"),
            state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        ),
        ReasonCode.IMAGE_PULL,
        [
            "cannot get the image of its init container vault: no such image",
            "contact whoever operates it",
        ],
    ),
    (
        beside(
            waiting("ContainerCreating"),
            proxy={"waiting": {"reason": "CreateContainerError", "message": "no such device"}},
        ),
        ReasonCode.CONTAINER_REFUSED,
        ["does not start its container proxy: CreateContainerError: no such device"],
    ),
]


@pytest.mark.parametrize(("pod", "reason", "words"), WAITS)
def test_waiting_state_names_an_added_container(
    pod: PodView, reason: ReasonCode, words: list[str]
) -> None:
    state = job_state(a_job(active=1), [pod], NOW)
    assert isinstance(state, Waiting)
    assert state.code is reason
    assert not [word for word in words if word not in state.message], state.message


def test_waiting_state_allows_time_for_an_init_container() -> None:
    young = {"running": {"startedAt": at(260)}}
    pod = before(waiting("PodInitializing", startTime=at(250)), state=young)
    state = job_state(a_job(active=1), [pod], NOW)
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.STARTING


def test_waiting_state_ignores_init_containers_that_have_ended() -> None:
    through = before(running(), state=ENDED_WELL)
    sidecar = before(running(), True, state=RUNS, started=True)
    for pod in (through, sidecar):
        assert isinstance(job_state(a_job(active=1), [pod], NOW), Running)
