"""GPU seconds of a search: what results state, running pods hold, and stopped Jobs spent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger import History, ledger_entry
from detnas.lifecycle.reading.state import SearchState
from detnas.records.results import DetectorResult, PoolPhaseResult
from detnas.records.verbs import Verb
from detnas.spec.loading import read_manifest
from detnas.spec.manifest import SearchSpec
from detnas.store import Store, open_store
from detnas.store.errors import StoreUnavailable
from detnas_operator.cluster.objects import JobView
from detnas_operator.search_jobs.gpu_time import (
    GpuTime,
    StoppedJob,
    job_seconds,
    pod_seconds,
    resumptions,
    unstated_seconds,
)
from tests.cluster.searches import manifest
from tests.detnas.trials import BASE, START, proposal, result, summary_of
from tests.operator.job_state.objects import (
    NOW,
    a_job,
    a_pod,
    at,
    disrupted,
    ended,
    running,
    waiting,
)

SECTIONS = {
    "base": {"model": "faster-rcnn-r50-fpn", "train": {"epochs": 1}, "gpus": 2},
    "evaluation": {"gpus": 4},
    "teachers": {
        "phases": [{"epochs": 1, "learningRate": "0.1"}],
        "workers": 3,
        "gpusPerWorker": 8,
    },
}
SPEC = read_manifest(manifest("one", SECTIONS), "one").spec
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
JOB = JobView(
    {
        "metadata": {
            "name": "one-t0007",
            "ownerReferences": [{"name": "one", "controller": True}],
            "uid": "u-1",
        },
        "spec": {},
        "status": {"startTime": "2026-03-01T00:00:00Z", "active": 1},
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


@pytest.fixture
def gpu_time(store: Store) -> GpuTime:
    return GpuTime(store, "team-a/searches/one")


def used(
    gpu_time: GpuTime,
    jobs: list[JobView],
    state: SearchState,
    spec: SearchSpec,
    *,
    trained_pool: bool,
) -> float:
    """Count, and return what was counted."""
    gpu_time.count(jobs, state, spec, trained_pool=trained_pool)
    return gpu_time.used


def owned(name: str, job: JobView) -> JobView:
    """A Job under a search's name for it."""
    owner = {"name": "one", "uid": "u-1", "controller": True}
    metadata = {**job.body["metadata"], "name": name, "ownerReferences": [owner]}
    return JobView({**job.body, "metadata": metadata})


def test_used_counts_a_trial_with_all_its_attempts(gpu_time: GpuTime) -> None:
    resumed = result(0).model_copy(update={"seconds": {"training": 4000.0, "evaluating": 200.0}})
    entries = [ledger_entry(proposal(0), resumed, BASE)]
    state = SearchState(history=History(summary_of(entries)))
    assert used(gpu_time, [], state, SPEC, trained_pool=True) == 4 * 4200
    runs = owned("one-t0001", a_job(active=1))
    gpu_time.list_running([runs], [a_pod(phase="Failed", deleted=at(102))], NOW)
    assert used(gpu_time, [runs], state, SPEC, trained_pool=True) == 4 * 4300


def test_used_counts_a_phase_with_all_workers_if_the_search_trained_it(
    gpu_time: GpuTime, store: Store
) -> None:
    phase = PoolPhaseResult(started=START, finished=START, seconds={"training": 10.0})
    base = DetectorResult(started=START, finished=START, seconds={"training": 5.0})
    state = SearchState(base=base, pool=(phase,))
    assert used(gpu_time, [], state, SPEC, trained_pool=True) == 2 * 5 + 3 * 8 * 10
    shared = GpuTime(store, "team-a/searches/one")
    shared.record_stop(owned("one-pool-0", a_job()), 7.0, NOW)
    assert used(shared, [], state, SPEC, trained_pool=False) == 2 * 5 + 8 * 7


def test_record_stop_after_a_lost_answer_keeps_the_first_record(
    gpu_time: GpuTime, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store.put_if_absent

    def lose(key: str, data: bytes) -> None:
        create(key, data)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(store, "put_if_absent", lose)
    with pytest.raises(StoreUnavailable):
        gpu_time.record_stop(JOB, 60.0, BEGAN)
    monkeypatch.setattr(store, "put_if_absent", create)
    gpu_time.record_stop(JOB, 90.0, BEGAN)
    kept = StoppedJob(verb=Verb.EVALUATE, number=7, seconds=60, until=BEGAN)
    assert gpu_time.stopped() == {"u-1": kept}


def a_stop(seconds: float, until: float | None = 0.0) -> StoppedJob:
    """Stopped so many seconds after the last attempt began."""
    when = None if until is None else BEGAN + timedelta(seconds=until)
    return StoppedJob(verb=Verb.EVALUATE, number=7, seconds=seconds, until=when)


def a_result(own: float, told: float | None = None) -> DetectorResult:
    """Of an attempt that took so long, and told of so much."""
    return DetectorResult(
        started=BEGAN,
        finished=BEGAN + timedelta(seconds=own),
        seconds={} if told is None else {"loading": told / 4, "training": told * 3 / 4},
    )


def test_unstated_seconds_without_a_result_are_all() -> None:
    assert unstated_seconds([a_stop(100), a_stop(50, None)], None) == 150


def test_unstated_seconds_omit_what_a_checkpoint_recorded() -> None:
    assert unstated_seconds([a_stop(3600, -60)], a_result(600, 4200)) == 0
    assert unstated_seconds([a_stop(3700, -60)], a_result(600, 4200)) == 100
    assert unstated_seconds([a_stop(3700, None)], a_result(600, 4200)) == 100


def test_unstated_seconds_include_attempts_without_a_checkpoint() -> None:
    assert unstated_seconds([a_stop(3600, -60), a_stop(30, -10)], a_result(600, 600)) == 3630
    assert unstated_seconds([a_stop(3600, -60)], a_result(600)) == 3600


def test_unstated_seconds_omit_the_attempt_that_wrote_the_result() -> None:
    """It was stopped when it was about to end, or after its result."""
    assert unstated_seconds([a_stop(620, 590)], a_result(600, 600)) == 30
    assert unstated_seconds([a_stop(740, 730)], a_result(600, 600)) == 140


def test_unstated_seconds_of_several_pods_count_each_of_them() -> None:
    assert unstated_seconds([a_stop(4000, -60)], a_result(600, 1600), pods=4) == 0
    assert unstated_seconds([a_stop(4400, -60)], a_result(600, 1600), pods=4) == 400


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), max_size=4),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_unstated_seconds_and_result_are_no_less_than_either(
    stops: list[tuple[float, float]], own: float, told: float
) -> None:
    stopped, result = [a_stop(*stop) for stop in stops], a_result(own, told)
    total = max(own, told) + unstated_seconds(stopped, result)
    before = [seconds for seconds, until in stops if until <= 0]
    assert total >= max(own, told)
    if len(before) == len(stops):  # none of them is the attempt that wrote the result
        assert total >= own + sum(before) - 1e-3  # datetimes have microseconds


def test_running_seconds_of_a_pod_without_a_node_are_none(gpu_time: GpuTime) -> None:
    """A full cluster must not use up the budget of the searches that wait for it."""
    job = a_job(active=1)
    assert gpu_time.running_seconds(job, NOW) == 0
    gpu_time.list_running([job], [a_pod(node="")], NOW)
    assert gpu_time.running_seconds(job, NOW + timedelta(hours=9)) == 0


def test_running_seconds_begin_when_a_pod_is_on_a_node(gpu_time: GpuTime) -> None:
    job = a_job(active=1)
    gpu_time.list_running([job], [waiting("ContainerCreating", startTime=at(240))], NOW)
    assert gpu_time.running_seconds(job, NOW) == 60


def test_running_seconds_grow_for_each_ready_pod(gpu_time: GpuTime) -> None:
    job = a_job(active=2, ready=2)
    gpu_time.list_running(
        [job], [running("one", 0, startTime=at(0)), running("two", 0, startTime=at(100))], NOW
    )
    assert gpu_time.running_seconds(job, NOW) == 300 + 200
    assert gpu_time.running_seconds(job, NOW + timedelta(seconds=10)) == 520


def test_running_seconds_of_a_job_that_no_longer_runs_are_none(gpu_time: GpuTime) -> None:
    job = a_job(active=1)
    gpu_time.list_running([job], [running("one", 0, startTime=at(0))], NOW)
    gpu_time.list_running([], [], NOW)
    assert gpu_time.running_seconds(job, NOW) == 0


def test_resumptions_count_the_worst_worker() -> None:
    pods = [ended(75, f"a{n}", index=0) for n in range(3)]
    pods += [ended(75, "b", index=1), ended(1, "c", index=1), running("d", index=1)]
    assert resumptions(pods) == 3
    assert resumptions([disrupted(143, "PreemptionByScheduler", "")]) == 1
    assert resumptions([]) == 0


def test_pod_seconds_begin_when_a_node_admits_the_pod() -> None:
    assert pod_seconds([ended(1, finished=102), running()], NOW) == 100 + 298
    assert pod_seconds([a_pod(node="")], NOW) == 0
    assert pod_seconds([a_pod(phase="Failed", deleted=at(62))], NOW) == 60


ELSEWHERE = {"managedBy": "kueue.x-k8s.io/multikueue", "parallelism": 3}
"""Of a Job whose pods are in another cluster."""


def test_job_in_another_cluster_is_counted_by_its_status(gpu_time: GpuTime) -> None:
    runs = owned("one-pool-0", a_job(spec=ELSEWHERE, active=3, ready=3))
    gpu_time.list_running([runs], [], NOW)
    assert gpu_time.running_seconds(runs, NOW) == 3 * 300
    minute = timedelta(seconds=60)
    assert gpu_time.running_seconds(runs, NOW + minute) == 3 * 360
    waits = owned("one-pool-0", a_job(spec=ELSEWHERE, active=3))
    assert job_seconds(waits, [], NOW) == 0, "no pod is ready"
    ended = owned("one-pool-0", a_job({"Failed": ("BackoffLimitExceeded", "")}, spec=ELSEWHERE))
    assert job_seconds(ended, [], NOW + minute) == 3 * 240, "until its condition"
    here = owned("one-pool-0", a_job(active=1, ready=1))
    assert job_seconds(here, [], NOW) == 0, "its pods would have been listed"
