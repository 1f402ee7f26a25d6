"""What a real job says of the time left, while every step takes ten seconds by its clock."""

from itertools import count
from typing import cast

import pytest

from detnas.records.progress import Progress
from detnas.records.requests import BaseRequest
from detnas_trainer.jobs.base import base
from detnas_trainer.jobs.folder import open_folder
from detnas_trainer.jobs.job import Job, opened_job
from tests.trainer.conftest import Workplace, training

TRAINED, SECONDS = 12, 10
IMAGES, SIZES = 6, (48 * 48, 64 * 64)


def test_a_job_counts_down_its_training_and_its_evaluation(workplace: Workplace) -> None:
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
    assert (job.workload.training, job.workload.evaluating) == (0, 0)
    trained, evaluated = said[:TRAINED], said[TRAINED:]
    assert trained[:8] == [None] * 8
    # A step has 4 images, half of them of each size; a pixel's evaluation costs a third.
    guess = IMAGES * sum(SIZES) / (4 * sum(SIZES) / 2) * SECONDS / 3
    assert trained[8:] == pytest.approx([steps * SECONDS + guess for steps in (3, 2, 1, 0)])
    assert len(evaluated) == 2 * IMAGES
    assert evaluated[-1] == 0
    assert evaluated[-2] == pytest.approx(SECONDS, rel=0.5)
    assert None not in evaluated
