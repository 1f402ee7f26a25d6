"""A JobSet is read as if it were a Job; its own status decides, its Job's explains."""

from typing import Any

import pytest

from detnas_operator.cluster import Snapshot
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.job_lists import JobLists
from detnas_operator.cluster.jobsets import as_job
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.cluster.slimming import slim_job
from detnas_operator.controller.watching import EventHandlers
from tests.operator.cluster.test_cache import KEY, job

NAME = "r18-pool-0"
UID = "jobset-uid"
CREATED, RESUMED, ENDED = (f"2026-05-01T1{hour}:00:00Z" for hour in range(3))
Document = dict[str, Any]


def jobset(version: int, *conditions: Document, suspend: bool = False, **status: Any) -> Document:
    """A JobSet of the search as the API server writes it."""
    body = job(NAME, version, UID)
    body["metadata"]["creationTimestamp"] = CREATED
    template = {"spec": {"parallelism": 2, "completions": 2, "activeDeadlineSeconds": 60}}
    body["spec"] = {
        "suspend": suspend,
        "ttlSecondsAfterFinished": 90,
        "replicatedJobs": [{"name": "w", "replicas": 1, "template": template}],
    }
    body["status"] = {"restarts": 0, "conditions": list(conditions), **status}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", **body}


def child(version: int, **status: Any) -> Document:
    """Its Job."""
    body = job(f"{NAME}-w-0", version, "child-uid")
    reference = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": NAME}
    body["metadata"]["ownerReferences"] = [{**reference, "uid": UID, "controller": True}]
    return {**body, "status": status}


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Document:
    moment = {"lastTransitionTime": ENDED if status == "True" else RESUMED}
    return {"type": kind, "status": status, "reason": reason, "message": message, **moment}


def counted(**counts: int) -> list[Document]:
    return [{"name": "w", "ready": 0, "active": 0, "failed": 0, "succeeded": 0, **counts}]


def view(body: Document) -> JobView:
    return JobView(slim_job(body))


def test_jobset_is_read_as_a_job() -> None:
    read = view(jobset(3))
    assert (read.plural, read.title, read.version) == ("jobsets", f"JobSet {NAME}", 3)
    assert (read.parallelism, read.deadline_seconds, read.ttl_seconds) == (2, 60, 90)
    assert not read.suspended
    assert not read.has_ended
    assert view(job("r18-base", 1)).plural == "jobs"


def test_ended_jobset_is_an_ended_job() -> None:
    completed = view(jobset(3, condition("Completed")))
    assert completed.has_ended
    assert completed.completed is not None
    assert f"{completed.completed:%H}" == "12"
    failed = view(jobset(3, condition("Failed", reason="ReachedMaxRestarts", message="why")))
    assert failed.has_ended
    found = failed.true_condition("Failed")
    assert found is not None
    assert (found.reason, found.message) == ("ReachedMaxRestarts", "why")


def test_jobset_counts_its_pods_once_all_are_ready() -> None:
    starting = view(jobset(3, replicatedJobsStatus=counted(active=1)))
    assert (starting.active_pods, starting.ready_pods) == (2, 0)
    ready = view(jobset(3, replicatedJobsStatus=counted(active=1, ready=1)))
    assert ready.ready_pods == 2


def test_jobset_started_when_it_was_created_or_resumed_last() -> None:
    assert view(jobset(3, suspend=True)).started is None
    created, resumed = view(jobset(3)), view(jobset(3, condition("Suspended", "False")))
    assert created.started is not None
    assert resumed.started is not None
    assert (created.started.hour, resumed.started.hour) == (10, 11)


@pytest.mark.parametrize("body", [jobset(3, condition("Completed")), jobset(4, suspend=True)])
def test_slim_jobset_stays_the_same(body: Document) -> None:
    once = slim_job(body)
    assert slim_job(once) == once
    assert as_job(once) == once


def cached(*bodies: Document) -> JobView:
    cache = ClusterCache()
    for body in bodies:
        cache.put_job(body)
    (found,) = cache.jobs(KEY, "s1").values()
    return found


def test_cache_adds_to_a_jobset_what_its_job_states_in_either_order() -> None:
    both = jobset(5), child(7, startTime=RESUMED, active=2, ready=1, failed=3)
    for bodies in (both, both[::-1]):
        found = cached(*bodies)
        assert (found.name, found.uid, found.version) == (NAME, UID, 7)
        assert (found.pods_owner, found.pods_owner_name) == ("child-uid", f"{NAME}-w-0")
        assert (found.active_pods, found.ready_pods, found.failed_pods) == (2, 1, 3)
        assert found.started is not None
        assert found.started.hour == 11


def test_failed_jobset_states_why_its_job_failed() -> None:
    why = condition("Failed", reason="BackoffLimitExceeded", message="the limit")
    over = condition("Failed", reason="ReachedMaxRestarts", message="of the JobSet")
    found = cached(jobset(9, over), child(8, conditions=[why])).true_condition("Failed")
    assert found is not None
    assert (found.reason, found.message) == ("BackoffLimitExceeded", "the limit")


def test_jobset_ends_only_by_its_own_condition() -> None:
    ended = [condition("SuccessCriteriaMet"), condition("Complete")]
    found = cached(jobset(5), child(8, conditions=ended, completionTime=ENDED))
    assert not found.has_ended
    assert found.completed is None
    assert found.true_condition("SuccessCriteriaMet"), "announced"


def test_change_of_a_jobsets_job_reaches_the_search() -> None:
    cache, passes = ClusterCache(), list[SearchKey]()

    def enqueue(key: SearchKey, *, urgent: bool) -> None:
        passes.append(key)

    handlers = EventHandlers(cache, enqueue)
    handlers.job("ADDED", child(1))
    assert passes == []
    handlers.job("ADDED", jobset(2))
    handlers.job("MODIFIED", child(3, active=2))
    handlers.job("DELETED", child(4))
    assert passes == [KEY] * 3
    (left,) = cache.jobs(KEY, "s1").values()
    assert left.pods_owner == UID
    handlers.job("DELETED", jobset(5))
    assert cache.jobs(KEY, "s1") == {}


def test_cache_ignores_jobs_of_other_peoples_jobsets() -> None:
    other = child(2, failed=1)
    other["metadata"]["labels"] = {}
    assert cached(jobset(1), other).failed_pods == 0


def test_list_without_jobsets_removes_them_and_keeps_jobs() -> None:
    cache = ClusterCache()
    for body in (jobset(2), child(3), job("r18-base", 4)):
        cache.put_job(body)
    jobs, nothing = Snapshot((job("r18-base", 4), child(3)), "9"), Snapshot((), "9")
    later = JobLists(jobs, Snapshot((jobset(2),), "8")).together
    assert cache.replace_all("team", nothing, later) == set()
    assert cache.replace_all("team", nothing, JobLists(jobs, None).together) == {KEY}
    assert list(cache.jobs(KEY, "s1")) == ["r18-base"]


def test_jobset_created_between_two_lists_is_kept() -> None:
    cache = ClusterCache()
    cache.put_job(jobset(8))
    lists = JobLists(jobs=Snapshot((), "9"), jobsets=Snapshot((), "7"))
    cache.replace_all("team", Snapshot((), "9"), lists.together)
    assert list(cache.jobs(KEY, "s1")) == [NAME]


def test_cache_knows_where_jobsets_can_be_used() -> None:
    cache = ClusterCache()
    assert cache.jobsets_problem("team")
    cache.note_jobsets("team", "")
    assert (cache.jobsets_problem("team"), bool(cache.jobsets_problem("other"))) == ("", True)
    cache.note_jobsets_gone("team", "gone")
    assert cache.jobsets_problem("team") == "gone"
    cache.note_jobsets(None, "")
    everywhere = ClusterCache()
    everywhere.note_jobsets(None, "")
    everywhere.note_jobsets_gone("team", "gone")
    assert everywhere.jobsets_problem("other") == "gone", "the kind is gone, not one namespace's"
