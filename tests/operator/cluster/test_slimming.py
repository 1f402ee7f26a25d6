"""A slim pod has all that is read of pods."""

from datetime import timedelta

import pytest

from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.cluster.slimming import slim_pod
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.failures import culprit
from detnas_operator.search_jobs.gpu_time import pod_seconds, resumptions
from detnas_operator.search_jobs.remaining_pods import suspended_but_running
from tests.operator.job_state.objects import BACK_OFF, NOW, a_job, at, ended, running, waiting

LONG = "\n".join(["x" * 100] * 40)[:4000] + "\nRuntimeError: the last line"
PODS = [
    running(index=2),
    waiting("ImagePullBackOff", startTime=at(10)),
    ended(1, message=LONG),
    ended(75, startTime=at(0)),
    ended(137, reason="OOMKilled", startTime=at(0)),
]


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: str(pod.status)[:60])
@pytest.mark.parametrize("made", [a_job(active=1), a_job(BACK_OFF, failed=1)], ids=["runs", "over"])
def test_slim_pod_keeps_all_that_is_read(made: JobView, pod: PodView) -> None:
    slim = slim_pod(pod)
    assert job_state(made, [slim], NOW) == job_state(made, [pod], NOW)
    assert pod_seconds([slim], NOW) == pod_seconds([pod], NOW)
    assert resumptions([slim]) == resumptions([pod])
    assert culprit(slim) == culprit(pod)


def test_slim_pod_keeps_the_last_line_of_a_long_message() -> None:
    state = job_state(a_job(BACK_OFF, failed=1), [slim_pod(ended(1, message=LONG))], NOW)
    assert "its last line: RuntimeError: the last line" in str(state)


def test_slim_pod_keeps_its_finalizers() -> None:
    pod = running(deleted=at(0))
    pod.body["metadata"]["finalizers"] = ["team.example/backup"]
    said = suspended_but_running({}, [slim_pod(pod)], NOW - timedelta(hours=1), NOW)
    assert said is not None
    assert "team.example/backup" in said.message
