"""A running job: where its time goes, and the time left while every step takes ten seconds."""

from itertools import count
from typing import cast

import pytest

from detnas.records.progress import Progress
from detnas.records.requests import BaseRequest
from detnas_trainer.jobs.folder import open_folder
from detnas_trainer.jobs.job import Activities, Job, opened_job
from detnas_trainer.jobs.verbs.base import base
from tests.trainer.conftest import Workplace, training

TRAINED, SECONDS = 12, 10
IMAGES, SIZES = 6, (48 * 48, 64 * 64)


def test_job_counts_down_training_and_evaluation(workplace: Workplace) -> None:
    request = workplace.base_request(
        "local/searches/a-1/base", training=training(TRAINED // 3), evaluation_batch=1
    )
    said: list[float | None] = []

    def listen(progress: Progress, **_: object) -> None:
        said.append(progress.seconds_left)

    seconds = count(0, SECONDS)
    with opened_job(open_folder("base", workplace.put(request))) as job:
        job.clock = lambda: next(seconds)
        job.reporter.report = listen  # type: ignore[method-assign]
        base(cast("Job[BaseRequest]", job))
    assert (job.remaining.training, job.remaining.evaluating) == (0, 0)
    trained, evaluated = said[:TRAINED], said[TRAINED:]
    assert trained[:8] == [None] * 8
    # A step has 4 images, half of them of each size; a pixel's evaluation costs a third.
    guess = IMAGES * sum(SIZES) / (4 * sum(SIZES) / 2) * SECONDS / 3
    assert trained[8:] == pytest.approx([steps * SECONDS + guess for steps in (3, 2, 1, 0)])
    assert len(evaluated) == 2 * IMAGES
    assert evaluated[-1] == 0
    assert evaluated[-2] == pytest.approx(SECONDS, rel=0.5)
    assert None not in evaluated


def test_activities_count_every_moment_for_the_innermost() -> None:
    now = [0.0]
    activities = Activities(lambda: now[0])
    now[0] = 1.0
    with activities.activity("training"):
        now[0] = 11.0
        with activities.activity("checkpointing"):
            now[0] = 13.0
        now[0] = 20.0
    now[0] = 20.5
    seconds = activities.seconds()
    assert seconds == {"starting": 1.5, "training": 17.0, "checkpointing": 2.0}
    assert sum(seconds.values()) == pytest.approx(20.5)


def test_activities_leave_and_count_one_that_fails() -> None:
    now = [0.0]
    activities = Activities(lambda: now[0])

    def fail() -> None:
        with activities.activity("training"):
            now[0] = 3.0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    now[0] = 4.0
    assert activities.seconds() == {"starting": 1.0, "training": 3.0}


def test_activities_add_time_of_earlier_attempts() -> None:
    activities = Activities(lambda: 0.0)
    activities.add({"training": 30.0})
    activities.add({"training": 5.0, "loading": 1.0})
    assert activities.seconds() == {"starting": 0.0, "training": 35.0, "loading": 1.0}
