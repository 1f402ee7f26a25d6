"""GPUs that a manifest reserves and training does not use."""

from collections.abc import Iterator

from detnas.spec.explain import Problem
from detnas.spec.manifest import SearchSpec

USED_GPUS = 1
"""GPUs of a job that training uses, in all its pods together: it is one process."""


def unused_gpus(spec: SearchSpec) -> tuple[Problem, ...]:
    """Return each field that reserves GPUs which no training uses, with the value to set."""
    return tuple(_unused_gpus(spec))


def _unused_gpus(spec: SearchSpec) -> Iterator[Problem]:
    requested = {"base": spec.base.gpus, "evaluation": spec.evaluation.gpus}
    if spec.finetune is not None:
        requested["finetune"] = spec.finetune.gpus
    for section, gpus in requested.items():
        if gpus > USED_GPUS:
            yield Problem(f"spec.{section}.gpus", _unused_message(gpus))
    workers, each = spec.teachers.workers, spec.teachers.gpus_per_worker
    if each > USED_GPUS:
        yield Problem("spec.teachers.gpusPerWorker", _unused_message(each))
    if workers > USED_GPUS and each:
        yield Problem(
            "spec.teachers.workers",
            f"{workers} workers reserve {workers * each} GPUs and training uses {USED_GPUS}, in "
            "the first: it is not distributed yet; write 1",
        )


def _unused_message(gpus: int) -> str:
    used = f"{gpus} GPUs are reserved and training uses {USED_GPUS}"
    return f"{used}: it is not distributed yet; write 1"
