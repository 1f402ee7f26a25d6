"""In whatever order events and answers arrive, the cache ends where the cluster is."""

import importlib
import json
import pkgutil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detnas_operator
from detnas_operator.cluster import Snapshot
from detnas_operator.cluster.cache import SETTLED, ClusterCache, SearchKey, job_key
from detnas_operator.job.names import FOLDER
from detnas_operator.reconcile.deletion import FINALIZER

KEY = SearchKey("team", "r18")


def search(version: int, uid: str = "s1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "metadata": {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "uid": uid,
            "resourceVersion": str(version),
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "team.example/note": "of any size",
                "detnas.dev/note": "read by nobody",
                "detnas.dev/accept-data-loss": "kept",
            },
        },
        "spec": spec,
    }


def job(name: str, version: int, uid: str = "", owner: str = "s1") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": KEY.namespace,
            "name": name,
            "uid": uid or f"{name}-uid",
            "resourceVersion": str(version),
            "labels": {
                "app.kubernetes.io/managed-by": "detnas",
                "detnas.dev/search": KEY.name,
            },
            "ownerReferences": [
                {
                    "apiVersion": "detnas.dev/v1alpha1",
                    "kind": "DetNASSearch",
                    "name": KEY.name,
                    "uid": owner,
                    "controller": True,
                }
            ],
        },
        "spec": {"parallelism": 1, "template": {"spec": {"containers": [{"image": "x"}]}}},
        "status": {"active": version},
    }


def names(cache: ClusterCache, owner: str = "s1") -> list[str]:
    return [job["metadata"]["name"] for job in cache.jobs(KEY, owner)]


def test_keeps_what_is_needed_and_no_more() -> None:
    cache = ClusterCache()
    cache.put_search(search(1, suspend=True))
    cache.put_job(job("r18-base", 2))
    kept = cache.search(KEY)
    assert kept is not None
    assert kept["spec"] == {"suspend": True}
    assert kept["metadata"]["annotations"] == {"detnas.dev/accept-data-loss": "kept"}
    assert "managedFields" not in kept["metadata"]
    (kept_job,) = cache.jobs(KEY, "s1")
    assert kept_job["spec"] == {"parallelism": 1}
    assert kept_job["status"] == {"active": 2}


def own_keys() -> list[str]:
    """Return every label and annotation key of ours that a module of the operator names."""
    names = [m.name for m in pkgutil.walk_packages(detnas_operator.__path__, "detnas_operator.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    values = [value for module in modules for value in vars(module).values()]
    keys = {value for value in values if isinstance(value, str) and value.startswith("detnas.dev/")}
    return sorted(keys - {"detnas.dev/", "detnas.dev/v1alpha1", FINALIZER, FOLDER})


def test_every_label_and_annotation_that_is_read_is_kept() -> None:
    """A Job's folder is noted for people only; finalizers are kept apart."""
    assert SETTLED in own_keys()
    body = job("r18-base", 2)
    marked = dict.fromkeys(own_keys(), "marked")
    body["metadata"] |= {"labels": marked, "annotations": marked}
    cache = ClusterCache()
    cache.put_job(body)
    (kept,) = cache.jobs(KEY, "s1")
    metadata = kept["metadata"]
    assert sorted({**metadata["labels"], **metadata["annotations"]}) == own_keys()


def test_the_record_of_ended_pods_is_kept_whole() -> None:
    record = json.dumps([{"name": f"pod-{n}", "message": "x" * 800} for n in range(20)])
    body = job("r18-base", 2)
    body["metadata"]["annotations"] = {"detnas.dev/ended-pods": record}
    cache = ClusterCache()
    cache.put_job(body)
    (kept,) = cache.jobs(KEY, "s1")
    assert kept["metadata"]["annotations"]["detnas.dev/ended-pods"] == record


def test_what_others_write_to_a_job_takes_no_memory() -> None:
    filled = job("r18-base", 2)
    large = {f"{prefix}/{n}": "x" * 1000 for prefix in ("a", "detnas.dev") for n in range(200)}
    filled["metadata"]["annotations"] = {**large, "detnas.dev/accept-data-loss": "y" * 200_000}
    filled["metadata"]["labels"] |= {f"app.kubernetes.io/{n}": "z" * 63 for n in range(1000)}
    filled["metadata"]["finalizers"] = [f"team.example/{n}" for n in range(1000)]
    filled["metadata"]["ownerReferences"] += [{"uid": str(n)} for n in range(1000)]
    cache = ClusterCache()
    cache.put_job(filled)
    (kept,) = cache.jobs(KEY, "s1")
    assert len(json.dumps(kept)) < 3000
    assert kept["metadata"]["labels"] == job("r18-base", 2)["metadata"]["labels"]


def test_the_echo_of_our_own_write_is_no_news() -> None:
    cache = ClusterCache()
    assert cache.put_search(search(1))
    assert cache.put_search(search(5))  # what our patch was answered with
    assert not cache.put_search(search(5))  # the watch tells of it
    assert not cache.put_search(search(3))  # and of what was before
    assert cache.put_job(job("r18-base", 6))
    assert not cache.put_job(job("r18-base", 6))


def test_versions_are_compared_as_numbers() -> None:
    cache = ClusterCache()
    cache.put_search(search(99, suspend=True))
    assert cache.put_search(search(100, suspend=False))
    assert cache.search(KEY)["spec"] == {"suspend": False}  # type: ignore[index]


def test_what_was_deleted_does_not_come_back_by_a_late_answer() -> None:
    cache = ClusterCache()
    cache.put_job(job("r18-base", 1))
    cache.drop_job(job("r18-base", 3))
    assert not cache.put_job(job("r18-base", 2))
    assert names(cache) == []


def test_a_late_deletion_does_not_take_the_successor() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(job("r18-base", 2))
    cache.put_search(search(8, uid="s2"))
    cache.put_job(job("r18-base", 9, uid="new", owner="s2"))
    cache.drop_search(search(4))
    cache.drop_job(job("r18-base", 5))
    assert cache.search(KEY)["metadata"]["uid"] == "s2"  # type: ignore[index]
    assert names(cache, "s2") == ["r18-base"]


def test_jobs_of_a_former_search_of_the_same_name_are_foreign() -> None:
    cache = ClusterCache()
    cache.put_job(job("r18-t0002", 2))
    cache.put_job(job("r18-t0001", 1, owner="before"))
    assert names(cache) == ["r18-t0002"]
    assert names(cache, "before") == ["r18-t0001"]


@pytest.mark.parametrize(
    "owner",
    [
        None,
        {"apiVersion": "batch/v1", "kind": "CronJob", "name": "r18", "controller": True},
        {"apiVersion": "others.dev/v1", "kind": "DetNASSearch", "name": "r18", "controller": True},
        {"apiVersion": "detnas.dev/v1alpha1", "kind": "DetNASSearch", "name": "r18"},
    ],
    ids=str,
)
def test_jobs_of_others_are_left_out(owner: dict[str, Any] | None) -> None:
    cache, other = ClusterCache(), job("r18-base", 1)
    other["metadata"]["ownerReferences"] = [{"uid": "s1", **owner}] if owner else []
    assert job_key(other) is None
    assert not cache.put_job(other)
    assert cache.jobs(KEY, "s1") == []


def test_a_job_is_known_by_its_owner_whatever_its_labels_are() -> None:
    cache, ours = ClusterCache(), job("r18-base", 1)
    ours["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    assert cache.put_job(ours)
    assert names(cache) == ["r18-base"]


def test_a_list_drops_what_it_lacks_but_not_what_is_newer() -> None:
    cache = ClusterCache()
    for name, version in {"gone": 1, "there": 2, "new": 12}.items():
        cache.put_job(job(name, version))
    cache.replace_jobs(KEY, Snapshot((job("there", 4), job("missed", 5)), "10"))
    assert names(cache) == ["missed", "new", "there"]


def test_whole_lists_tell_which_searches_have_news() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(job("r18-base", 2))
    searches, jobs = Snapshot((search(1),), "10"), Snapshot((job("r18-base", 2),), "10")
    assert cache.replace_all(None, searches, jobs) == set()
    assert cache.replace_all("team", searches, Snapshot((), "11")) == {KEY}
    assert names(cache) == []
    assert cache.replace_all("another", Snapshot((), "12"), Snapshot((), "12")) == set()
    assert cache.searches() == [KEY]
    assert cache.replace_all(None, Snapshot((), "13"), Snapshot((), "13")) == {KEY}
    assert cache.searches() == []


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[str, dict]], dict[str, int]]:
    """Events of some Jobs, each perhaps deleted and made anew, and which versions are left."""
    version, events, left = 0, [], {}
    for name in ("a", "b", "c"):
        lives = draw(st.integers(0, 3))
        for life in range(lives):
            uid = f"{name}{life}"
            for _ in range(draw(st.integers(1, 3))):
                version += 1
                events.append(("put", job(name, version, uid)))
            left[name] = version
            if life + 1 < lives or draw(st.booleans()):
                version += 1
                events.append(("drop", job(name, version, uid)))
                left.pop(name)
    return draw(st.permutations([*events, *events])), left


@given(histories())
def test_any_order_and_repetition_ends_in_the_same_state(
    history: tuple[list[tuple[str, dict]], dict[str, int]],
) -> None:
    events, left = history
    cache = ClusterCache()
    for change, body in events:
        if change == "put":
            cache.put_job(body)
        else:
            cache.drop_job(body)
    found = {
        j["metadata"]["name"]: int(j["metadata"]["resourceVersion"]) for j in cache.jobs(KEY, "s1")
    }
    assert found == left


def failed(name: str, version: int) -> dict[str, Any]:
    return {
        **job(name, version),
        "status": {"conditions": [{"type": "Failed", "status": "True"}], "failed": 1},
    }


def test_a_job_that_failed_and_that_others_deleted_stays_until_it_is_dropped() -> None:
    """Its time to live may be 0: then nobody else knows that it failed."""
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(job("r18-base", 1))
    cache.lose_job(failed("r18-base", 3))
    (lost,) = cache.jobs(KEY, "s1")
    assert lost["status"]["failed"] == 1
    assert lost["metadata"]["deletionTimestamp"]
    assert cache.is_lost(lost)
    cache.drop_job(lost)
    assert names(cache) == []
    assert not cache.is_lost(lost)


@pytest.mark.parametrize("after", [None, search(9, uid="s2")], ids=["gone", "another"])
def test_a_failure_that_is_seen_after_its_search_was_deleted_is_not_kept(after: Any) -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(failed("r18-base", 2))
    cache.drop_search(search(1))
    if after:
        cache.put_search(after)
    cache.lose_job(failed("r18-base", 3))
    assert names(cache) == []


def test_neither_a_job_that_did_not_fail_nor_one_that_we_deleted_stays() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.lose_job(job("r18-base", 3))
    ours = failed("r18-t0001", 4)
    cache.put_job(ours)
    cache.drop_job(ours)  # as after our own deletion
    cache.lose_job(ours)  # the watch tells of it
    assert names(cache) == []


def test_a_failure_whose_result_is_kept_goes_with_its_job() -> None:
    cache, settled = ClusterCache(), failed("r18-t0001", 4)
    cache.put_search(search(1))
    settled["metadata"]["annotations"] = {SETTLED: "true"}
    cache.put_job(settled)
    cache.lose_job(settled)
    assert names(cache) == []


def test_a_failure_that_a_list_shows_to_be_gone_stays_too() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(failed("r18-base", 3))
    cache.replace_jobs(KEY, Snapshot((), "9"))
    assert names(cache) == ["r18-base"]
    cache.drop_search(search(1))
    assert names(cache) == [], "it goes with its search"


def test_a_new_job_takes_the_place_of_a_failure_of_its_name() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.lose_job(failed("r18-base", 3))
    cache.put_job(job("r18-base", 5, uid="new"))
    (found,) = cache.jobs(KEY, "s1")
    assert found["metadata"]["uid"] == "new"
    assert not cache.is_lost(found)
