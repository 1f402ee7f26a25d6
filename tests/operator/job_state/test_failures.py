"""How a Job failed: which pod, why, and what to do."""

from typing import Any

import pytest

from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.state import Failed, FailureKind
from tests.operator.job_state.objects import (
    BACK_OFF,
    NOW,
    WORKERS,
    a_job,
    a_pod,
    disrupted,
    ended,
)


def by_policy(code: int, pod: str = "r18-t0007-x1") -> JobView:
    words = f"Container trainer for pod team-a/{pod} failed with exit code {code}"
    return a_job({"Failed": ("PodFailurePolicy", f"{words} matching FailJob rule at index 2")})


EVICTED = 'Usage of EmptyDir volume "cache" exceeds the limit "50Gi". '


START_ERROR = 'exec: "detnas-trainer": executable file not found in $PATH'


FAILED: list[tuple[Any, list[Any], FailureKind, int | None, list[str]]] = [
    (by_policy(42), [ended(42)], FailureKind.CANDIDATE, 42, ["r18-t0007-x1", "exit 42"]),
    (by_policy(43), [], FailureKind.CANDIDATE, 43, ["r18-t0007-x1", "exit 43", "batch size"]),
    (by_policy(44), [], FailureKind.DATA_CHANGED, 44, ["r18-t0007-x1", "exit 44", "data set"]),
    (by_policy(2), [ended(2)], FailureKind.EXIT_CODE, 2, ["exit 2", "image"]),
    (
        a_job(BACK_OFF, failed=3),
        [ended(1, f"x{n}", finished=100 + n, message=f"line {n}") for n in (2, 3, 1)],
        FailureKind.EXIT_CODE,
        1,
        ["3 attempts", "pod x3", "exit 1", "line 3"],
    ),
    (
        a_job(BACK_OFF, failed=1),
        [ended(137, reason="OOMKilled")],
        FailureKind.OUT_OF_MEMORY,
        137,
        [
            "only attempt",
            "OOMKilled",
            "spec.jobs.resources.memory",
            "this applies to Jobs created later",
        ],
    ),
    (a_job(BACK_OFF), [ended(137)], FailureKind.EXIT_CODE, 137, ["SIGKILL (exit 137)"]),
    (a_job(BACK_OFF), [ended(135)], FailureKind.EXIT_CODE, 135, ["SIGBUS", "sharedMemory"]),
    (a_job(BACK_OFF), [ended(139)], FailureKind.EXIT_CODE, 139, ["SIGSEGV", "crashed"]),
    (a_job(BACK_OFF), [ended(255)], FailureKind.EXIT_CODE, 255, ["exit 255"]),
    (
        a_job(BACK_OFF),
        [a_pod(phase="Failed", reason="Evicted", message=EVICTED)],
        FailureKind.EVICTED,
        None,
        ["evicted", "EmptyDir", "cacheSize"],
    ),
    (
        a_job(BACK_OFF),
        [ended(128, reason="StartError", message=START_ERROR)],
        FailureKind.START_ERROR,
        None,
        [START_ERROR, "detnas-trainer"],
    ),
    (
        a_job({"Failed": ("FailJobSetFailurePolicyAction", "applying FailJobSet")}),
        [],
        FailureKind.DATA_CHANGED,
        44,
        ["exit 44", "the data set or the base's weights are not those"],
    ),
    (
        a_job({"Failed": ("ReachedMaxRestarts", "max number of restarts (first failed job: a)")}),
        [],
        FailureKind.UNKNOWN,
        None,
        ["ReachedMaxRestarts", "first failed job: a"],
    ),
    (a_job(BACK_OFF), [ended(127)], FailureKind.START_ERROR, None, ["no detnas-trainer"]),
    (
        a_job(BACK_OFF),
        [
            ended(1, "x1", finished=100),
            ended(75, "x2"),
            disrupted(143, "EvictionByEvictionAPI", ""),
        ],
        FailureKind.EXIT_CODE,
        1,
        ["pod x1"],
    ),
    (
        a_job(BACK_OFF),
        [a_pod(phase="Failed", reason="NodeLost", message="Node gpu-1 is gone")],
        FailureKind.NODE_LOST,
        None,
        ["gpu-1"],
    ),
    (a_job(BACK_OFF), [a_pod(phase="Failed")], FailureKind.UNKNOWN, None, ["no reason"]),
    (a_job(BACK_OFF, failed=3), [], FailureKind.BACKOFF_LIMIT_EXCEEDED, None, ["none of its pods"]),
    (
        a_job(
            {"Failed": ("DeadlineExceeded", "Job was active longer than specified deadline")},
            spec={"activeDeadlineSeconds": 3600},
        ),
        [],
        FailureKind.DEADLINE_EXCEEDED,
        None,
        ["3600 s", "spec.deadlines"],
    ),
    (
        a_job({"Failed": ("FailedIndexes", "Job has failed indexes")}),
        [],
        FailureKind.UNKNOWN,
        None,
        ["FailedIndexes", "Job has failed indexes"],
    ),
]


@pytest.mark.parametrize(("job", "pods", "kind", "code", "words"), FAILED)
def test_failed_state_names_pod_cause_and_remedy(
    job: JobView, pods: list[PodView], kind: FailureKind, code: int | None, words: list[str]
) -> None:
    state = job_state(job, pods, NOW)
    assert isinstance(state, Failed)
    assert (state.kind, state.exit_code) == (kind, code)
    assert not [word for word in words if word not in state.message], state.message
    assert "\n" not in state.message


def test_failed_state_of_several_workers_names_the_one_that_did_not_just_exit() -> None:
    job = a_job(BACK_OFF, spec=WORKERS, failed=3)
    pods = [
        ended(137, "pool-1", "OOMKilled", finished=100, index=1),
        ended(1, "pool-0", finished=160, index=0),
        ended(1, "pool-2", finished=170, index=2),
    ]
    state = job_state(job, pods, NOW)
    assert isinstance(state, Failed)
    assert state.kind == FailureKind.OUT_OF_MEMORY
    assert "pool-1" in state.message


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("PreemptionByScheduler", FailureKind.DISRUPTED),
        ("EvictionByEvictionAPI", FailureKind.DISRUPTED),
        ("DeletionByTaintManager", FailureKind.NODE_LOST),
        ("DeletionByPodGC", FailureKind.NODE_LOST),
    ],
)
def test_failed_state_of_a_disrupted_pod_names_the_cluster(reason: str, kind: str) -> None:
    state = job_state(by_policy(42), [disrupted(42, reason, "words of the cluster")], NOW)
    assert isinstance(state, Failed)
    assert state.kind == kind
    assert "words of the cluster" in state.message
