"""The pods of a search's Jobs are listed in bounded size, with all that is read of them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import MAX_PODS, PodView
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.cluster.slimming import slim_pod
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.failures import culprit
from detnas_operator.search_jobs.gpu_time import pod_seconds, resumptions
from detnas_operator.search_jobs.jobs import SearchJobs
from detnas_operator.search_jobs.remaining_pods import suspended_but_running
from tests.operator.cluster.test_cache import KEY, job
from tests.operator.job.objects import BACK_OFF, NOW, a_job, at, ended, running, waiting

LONG = "\n".join(["x" * 100] * 40)[:4000] + "\nRuntimeError: the last line"


class Listing:
    """A client that lists more pods than are looked at, each with a large annotation."""

    def __init__(self) -> None:
        self.given = 0

    def list(self, *_: str, max_bytes: int | None = None) -> Iterator[Object]:
        assert max_bytes is not None
        for number in range(2 * MAX_PODS):
            self.given += 1
            metadata = {
                "name": f"pod-{number}",
                "labels": {"batch.kubernetes.io/job-name": "r18-base"},
                "annotations": {"note": "x" * 1000},
            }
            yield {"metadata": metadata, "status": {"phase": "Running"}}


@pytest.mark.parametrize("listed", ["live_pods", "pods_of"])
def test_search_jobs_list_pods_in_bounded_size(listed: str) -> None:
    client, cache = Listing(), ClusterCache()
    cache.put_job(job("r18-base", 1))
    jobs = SearchJobs(client, cache, SearchKey(*KEY), "s1")  # type: ignore[arg-type]
    found = jobs.live_pods() if listed == "live_pods" else jobs.pods_of("r18-base")
    assert len(found) == client.given == MAX_PODS
    assert max(len(str(pod)) for pod in found) < 500


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
