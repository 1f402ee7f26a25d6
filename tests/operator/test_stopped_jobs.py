"""The time of a stopped Job is kept once, and counted as far as no result tells it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.plan.stages import DueJob, Verb
from detnas.records.results import DetectorResult
from detnas.store import open_store
from detnas.store.errors import StoreUnavailable
from detnas_operator.reconcile.stopped_jobs import StoppedJob, StoppedJobs, untold_seconds

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
JOB: dict[str, Any] = {
    "metadata": {
        "name": "one-t0007",
        "ownerReferences": [{"name": "one", "controller": True}],
        "uid": "u-1",
    },
    "spec": {},
    "status": {"startTime": "2026-03-01T00:00:00Z", "active": 1},
}


def test_an_answer_that_was_lost_keeps_no_job_from_being_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path.as_uri())
    stopped = StoppedJobs(store, "team-a/searches/one", lambda: BEGAN)
    create = store.put_if_absent

    def lose(key: str, data: bytes) -> None:
        create(key, data)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(store, "put_if_absent", lose)
    with pytest.raises(StoreUnavailable):
        stopped.record(JOB, 60.0)
    monkeypatch.setattr(store, "put_if_absent", create)
    stopped.record(JOB, 90.0)
    assert stopped.holds(JOB)
    kept = StoppedJob(verb=Verb.EVALUATE, number=7, seconds=60, until=BEGAN)
    assert stopped.by_purpose() == {DueJob(Verb.EVALUATE, 7): [kept]}


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


def test_all_that_was_spent_is_untold_while_there_is_no_result() -> None:
    assert untold_seconds([a_stop(100), a_stop(50, None)], None) == 150


def test_what_a_checkpoint_took_along_is_told() -> None:
    assert untold_seconds([a_stop(3600, -60)], a_result(600, 4200)) == 0
    assert untold_seconds([a_stop(3700, -60)], a_result(600, 4200)) == 100
    assert untold_seconds([a_stop(3700, None)], a_result(600, 4200)) == 100


def test_what_left_no_checkpoint_is_not() -> None:
    assert untold_seconds([a_stop(3600, -60), a_stop(30, -10)], a_result(600, 600)) == 3630
    assert untold_seconds([a_stop(3600, -60)], a_result(600)) == 3600


def test_who_stopped_the_attempt_that_wrote_the_result_stopped_what_it_tells() -> None:
    """It was about to end, or went on after its result."""
    assert untold_seconds([a_stop(620, 590)], a_result(600, 600)) == 30
    assert untold_seconds([a_stop(740, 730)], a_result(600, 600)) == 140


def test_a_result_tells_of_each_of_several_pods_what_it_tells_of_one() -> None:
    assert untold_seconds([a_stop(4000, -60)], a_result(600, 1600), pods=4) == 0
    assert untold_seconds([a_stop(4400, -60)], a_result(600, 1600), pods=4) == 400


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), max_size=4),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_the_sum_is_no_less_than_either_source_tells(
    stops: list[tuple[float, float]], own: float, told: float
) -> None:
    stopped, result = [a_stop(*stop) for stop in stops], a_result(own, told)
    total = max(own, told) + untold_seconds(stopped, result)
    before = [seconds for seconds, until in stops if until <= 0]
    assert total >= max(own, told)
    if len(before) == len(stops):  # none of them is the attempt that wrote the result
        assert total >= own + sum(before) - 1e-3  # datetimes have microseconds
