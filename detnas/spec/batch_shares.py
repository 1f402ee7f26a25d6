"""Batches that a job's GPUs cannot share out equally."""

from collections.abc import Iterator

from detnas.spec.explain import Problem
from detnas.spec.manifest import SearchSpec

_MAX_LISTED = 64


def unequal_shares(spec: SearchSpec) -> tuple[Problem, ...]:
    """Return each field whose number of GPUs does not divide the batch, with numbers that do."""
    return tuple(_unequal_shares(spec))


def _unequal_shares(spec: SearchSpec) -> Iterator[Problem]:
    teachers = spec.teachers
    jobs = [
        ("base.gpus", spec.base.gpus, spec.base.train and spec.base.train.batch_size),
        ("evaluation.gpus", spec.evaluation.gpus, spec.trial_training.batch_size),
        (
            "finetune.gpus",
            spec.finetune and spec.finetune.gpus,
            spec.finetune and spec.finetune.batch_size,
        ),
        (
            "teachers.workers" if teachers.workers > 1 else "teachers.gpusPerWorker",
            teachers.workers * max(1, teachers.gpus_per_worker),
            teachers.batch_size,
        ),
    ]
    if not teachers.trained_phases:
        jobs.pop()
    for field, processes, batch in jobs:
        if processes and batch and batch % processes:
            yield Problem(
                f"spec.{field}",
                f"a batch of {batch} images cannot be shared out equally over {processes} "
                f"processes; use {_divisors(batch)} of them, or another batchSize",
            )


def _divisors(batch: int) -> str:
    numbers = [str(n) for n in range(1, batch + 1) if batch % n == 0 and n <= _MAX_LISTED]
    return f"{', '.join(numbers[:-1])} or {numbers[-1]}" if numbers[1:] else "1"
