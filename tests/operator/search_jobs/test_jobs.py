"""A search's Jobs: their pods are listed in bounded size, and one of them may train its pool."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.objects import Object
from detnas_operator.cluster.pods import MAX_PODS
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.search_jobs.jobs import SearchJobs, trains_pool
from tests.operator.cluster.test_cache import KEY, job
from tests.operator.job_state.objects import a_job


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


COMPLETE = {"Complete": ("CompletionsReached", "")}
FAILED = {"Failed": ("BackoffLimitExceeded", "")}


@pytest.mark.parametrize(
    ("name", "job", "trains"),
    [
        ("one-pool-0", {}, True),
        ("one-pool-1", {"deleted": True}, True),
        ("one-pool-0", {"spec": {"suspend": True}}, True),
        ("one-pool-0", {"conditions": COMPLETE}, False),
        ("one-pool-0", {"conditions": FAILED}, False),
        ("one-base", {}, False),
        ("one-t0001", {}, False),
        ("other-pool-0", {}, False),
    ],
)
def test_trains_pool_until_its_job_has_ended(name: str, job: dict[str, Any], trains: bool) -> None:
    cache, key = ClusterCache(), SearchKey("team-a", "one")
    made = a_job(**job)
    owner = {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "name": "one",
        "uid": "u-1",
        "controller": True,
    }
    made.body["metadata"] |= {"name": name, "uid": name, "ownerReferences": [owner]}
    cache.put_job(made.body)
    assert trains_pool(SearchJobs(cast("KubernetesClient", None), cache, key, "u-1")) is trains
