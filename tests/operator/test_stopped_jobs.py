"""The time of a stopped Job is kept once, whatever the store answers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detnas.plan.stages import DueJob, Verb
from detnas.store import open_store
from detnas.store.errors import StoreUnavailable
from detnas_operator.job.labels import NUMBER, VERB
from detnas_operator.passes.stopped_jobs import StoppedJobs

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
JOB: dict[str, Any] = {
    "metadata": {"uid": "u-1", "labels": {VERB: "evaluate", NUMBER: "7"}},
    "spec": {},
    "status": {"startTime": "2026-03-01T00:00:00Z", "active": 1},
}


def test_an_answer_that_was_lost_keeps_no_job_from_being_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path.as_uri())
    stopped, create = StoppedJobs(store, "team-a/searches/one"), store.put_if_absent

    def lose(key: str, data: bytes) -> None:
        create(key, data)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(store, "put_if_absent", lose)
    with pytest.raises(StoreUnavailable):
        stopped.record(JOB, 60.0)
    monkeypatch.setattr(store, "put_if_absent", create)
    stopped.record(JOB, 90.0)
    assert stopped.holds(JOB)
    assert list(stopped.times()) == [(DueJob(Verb.EVALUATE, 7), 60.0)]
