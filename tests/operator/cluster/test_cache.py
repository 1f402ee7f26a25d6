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
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.labels import FOLDER, SETTLED
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.searches import SearchKey, owning_search
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
    return list(cache.jobs(KEY, owner))


def test_cache_keeps_only_what_is_needed() -> None:
    cache = ClusterCache()
    cache.put_search(search(1, suspend=True))
    cache.put_job(job("r18-base", 2))
    kept = cache.search(KEY)
    assert kept is not None
    assert kept.spec == {"suspend": True}
    assert kept.annotations == {"detnas.dev/accept-data-loss": "kept"}
    assert "managedFields" not in kept.body["metadata"]
    (kept_job,) = cache.jobs(KEY, "s1").values()
    assert kept_job.spec == {"parallelism": 1}
    assert kept_job.status == {"active": 2}


def own_keys() -> list[str]:
    """Return every label and annotation key of ours that a module of the operator names."""
    names = [m.name for m in pkgutil.walk_packages(detnas_operator.__path__, "detnas_operator.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    values = [value for module in modules for value in vars(module).values()]
    keys = {value for value in values if isinstance(value, str) and value.startswith("detnas.dev/")}
    return sorted(keys - {"detnas.dev/", "detnas.dev/v1alpha1", FINALIZER, FOLDER})


def test_cache_keeps_every_label_and_annotation_that_is_read() -> None:
    """A Job's folder is noted for people only; finalizers are kept apart."""
    assert SETTLED in own_keys()
    body = job("r18-base", 2)
    marked = dict.fromkeys(own_keys(), "marked")
    body["metadata"] |= {"labels": marked, "annotations": marked}
    cache = ClusterCache()
    cache.put_job(body)
    (kept,) = cache.jobs(KEY, "s1").values()
    assert sorted({**kept.labels, **kept.annotations}) == own_keys()


def test_cache_keeps_the_entire_record_of_ended_pods() -> None:
    record = json.dumps([{"name": f"pod-{n}", "message": "x" * 800} for n in range(20)])
    body = job("r18-base", 2)
    body["metadata"]["annotations"] = {"detnas.dev/ended-pods": record}
    cache = ClusterCache()
    cache.put_job(body)
    (kept,) = cache.jobs(KEY, "s1").values()
    assert kept.annotations["detnas.dev/ended-pods"] == record


def test_cache_drops_foreign_metadata_of_a_job() -> None:
    filled = job("r18-base", 2)
    large = {f"{prefix}/{n}": "x" * 1000 for prefix in ("a", "detnas.dev") for n in range(200)}
    filled["metadata"]["annotations"] = {**large, "detnas.dev/accept-data-loss": "y" * 200_000}
    filled["metadata"]["labels"] |= {f"app.kubernetes.io/{n}": "z" * 63 for n in range(1000)}
    filled["metadata"]["finalizers"] = [f"team.example/{n}" for n in range(1000)]
    filled["metadata"]["ownerReferences"] += [{"uid": str(n)} for n in range(1000)]
    cache = ClusterCache()
    cache.put_job(filled)
    (kept,) = cache.jobs(KEY, "s1").values()
    assert len(json.dumps(kept.body)) < 3000
    assert kept.labels == job("r18-base", 2)["metadata"]["labels"]


def test_cache_reports_no_change_for_the_echo_of_a_write() -> None:
    cache = ClusterCache()
    assert cache.put_search(search(1))
    assert cache.put_search(search(5))  # what our patch was answered with
    assert not cache.put_search(search(5))  # the watch tells of it
    assert not cache.put_search(search(3))  # and of what was before
    assert cache.put_job(job("r18-base", 6))
    assert not cache.put_job(job("r18-base", 6))


def test_cache_compares_versions_as_numbers() -> None:
    cache = ClusterCache()
    cache.put_search(search(99, suspend=True))
    assert cache.put_search(search(100, suspend=False))
    assert cache.search(KEY).spec == {"suspend": False}  # type: ignore[union-attr]


def test_cache_ignores_a_late_answer_after_a_deletion() -> None:
    cache = ClusterCache()
    cache.put_job(job("r18-base", 1))
    cache.drop_job(job("r18-base", 3))
    assert not cache.put_job(job("r18-base", 2))
    assert names(cache) == []


def test_cache_ignores_a_late_deletion_of_a_predecessor() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(job("r18-base", 2))
    cache.put_search(search(8, uid="s2"))
    cache.put_job(job("r18-base", 9, uid="new", owner="s2"))
    cache.drop_search(search(4))
    cache.drop_job(job("r18-base", 5))
    assert cache.search(KEY).uid == "s2"  # type: ignore[union-attr]
    assert names(cache, "s2") == ["r18-base"]


def test_cache_separates_jobs_of_namesakes() -> None:
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
def test_cache_ignores_jobs_with_other_owners(owner: dict[str, Any] | None) -> None:
    cache, other = ClusterCache(), job("r18-base", 1)
    other["metadata"]["ownerReferences"] = [{"uid": "s1", **owner}] if owner else []
    assert owning_search(JobView(other)) is None
    assert not cache.put_job(other)
    assert cache.jobs(KEY, "s1") == {}


def test_cache_finds_a_job_by_its_owner_despite_its_labels() -> None:
    cache, ours = ClusterCache(), job("r18-base", 1)
    ours["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    assert cache.put_job(ours)
    assert names(cache) == ["r18-base"]


def test_cache_drops_what_a_list_lacks_but_keeps_what_is_newer() -> None:
    cache = ClusterCache()
    for name, version in {"gone": 1, "there": 2, "new": 12}.items():
        cache.put_job(job(name, version))
    cache.replace_jobs(KEY, Snapshot((job("there", 4), job("missed", 5)), "10"))
    assert names(cache) == ["missed", "new", "there"]


def test_cache_returns_the_searches_that_a_list_changed() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(job("r18-base", 2))
    searches, jobs = Snapshot((search(1),), "10"), Snapshot((job("r18-base", 2),), "10")
    assert cache.replace_all(None, searches, jobs) == set()
    assert cache.replace_all("team", searches, Snapshot((), "11")) == {KEY}
    assert names(cache) == []
    assert cache.replace_all("another", Snapshot((), "12"), Snapshot((), "12")) == set()
    assert cache.search_keys() == [KEY]
    assert cache.replace_all(None, Snapshot((), "13"), Snapshot((), "13")) == {KEY}
    assert cache.search_keys() == []


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[str, dict]], dict[str, int]]:
    """Events of some Jobs, each perhaps deleted and created again, and which versions are left."""
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
def test_cache_ends_in_the_same_state_in_any_order_of_events(
    history: tuple[list[tuple[str, dict]], dict[str, int]],
) -> None:
    events, left = history
    cache = ClusterCache()
    for change, body in events:
        if change == "put":
            cache.put_job(body)
        else:
            cache.drop_job(body)
    found = {name: job.version for name, job in cache.jobs(KEY, "s1").items()}
    assert found == left


def failed(name: str, version: int) -> dict[str, Any]:
    return {
        **job(name, version),
        "status": {"conditions": [{"type": "Failed", "status": "True"}], "failed": 1},
    }


def test_cache_keeps_a_failed_job_that_others_deleted() -> None:
    """Its time to live may be 0: then nothing else records that it failed."""
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(job("r18-base", 1))
    cache.drop_deleted_job(failed("r18-base", 3))
    (lost,) = cache.jobs(KEY, "s1").values()
    assert lost.failed_pods == 1
    assert lost.is_being_deleted
    assert cache.is_retained(lost)
    cache.drop_job(lost.body)
    assert names(cache) == []
    assert not cache.is_retained(lost)


def test_no_reader_misses_a_failed_job_while_it_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that saw neither the Job nor its failure would create it again."""
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(failed("r18-base", 2))
    seen: list[list[str]] = []
    lock = cache._lock

    class Watched:
        """The cache's lock; whenever it is free again, another worker reads."""

        def __enter__(self) -> None:
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()
            with monkeypatch.context() as original:
                original.setattr(cache, "_lock", lock)
                seen.append(names(cache))

    monkeypatch.setattr(cache, "_lock", Watched())
    cache.drop_deleted_job(failed("r18-base", 3))
    assert seen
    assert all(found == ["r18-base"] for found in seen)


@pytest.mark.parametrize("after", [None, search(9, uid="s2")], ids=["gone", "another"])
def test_cache_drops_a_failed_job_whose_search_was_deleted(after: Any) -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(failed("r18-base", 2))
    cache.drop_search(search(1))
    if after:
        cache.put_search(after)
    cache.drop_deleted_job(failed("r18-base", 3))
    assert names(cache) == []


def test_cache_drops_deleted_jobs_that_did_not_fail_or_are_ours() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.drop_deleted_job(job("r18-base", 3))
    ours = failed("r18-t0001", 4)
    cache.put_job(ours)
    cache.drop_job(ours)  # as after our own deletion
    cache.drop_deleted_job(ours)  # the watch tells of it
    assert names(cache) == []


def test_cache_drops_a_failed_job_whose_result_is_recorded() -> None:
    cache, settled = ClusterCache(), failed("r18-t0001", 4)
    cache.put_search(search(1))
    settled["metadata"]["annotations"] = {SETTLED: "true"}
    cache.put_job(settled)
    cache.drop_deleted_job(settled)
    assert names(cache) == []


def test_cache_keeps_a_failed_job_that_a_list_lacks() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.put_job(failed("r18-base", 3))
    cache.replace_jobs(KEY, Snapshot((), "9"))
    assert names(cache) == ["r18-base"]
    cache.drop_search(search(1))
    assert names(cache) == [], "it goes with its search"


def test_cache_replaces_a_failed_job_by_a_new_one() -> None:
    cache = ClusterCache()
    cache.put_search(search(1))
    cache.drop_deleted_job(failed("r18-base", 3))
    cache.put_job(job("r18-base", 5, uid="new"))
    (found,) = cache.jobs(KEY, "s1").values()
    assert found.uid == "new"
    assert not cache.is_retained(found)
