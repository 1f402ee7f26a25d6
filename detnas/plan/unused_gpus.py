"""GPUs that a search asks for and that its training would not use."""

from collections.abc import Iterator

from detnas.spec.explain import Problem
from detnas.spec.manifest import SearchSpec

USED = 1
"""GPUs of a job that training uses, of all its pods together: it is one process."""


def unused_gpus(spec: SearchSpec) -> tuple[Problem, ...]:
    """Return each field that reserves GPUs for nothing, with what to write instead."""
    return tuple(_unused(spec))


def _unused(spec: SearchSpec) -> Iterator[Problem]:
    asked = {"base": spec.base.gpus, "evaluation": spec.evaluation.gpus}
    if spec.finetune is not None:
        asked["finetune"] = spec.finetune.gpus
    for section, gpus in asked.items():
        if gpus > USED:
            yield Problem(f"spec.{section}.gpus", _words(gpus))
    workers, each = spec.teachers.workers, spec.teachers.gpus_per_worker
    if each > USED:
        yield Problem("spec.teachers.gpusPerWorker", _words(each))
    if workers > USED and each:
        yield Problem(
            "spec.teachers.workers",
            f"{workers} workers reserve {workers * each} GPUs and training uses {USED}, in the "
            "first: it is not distributed yet; write 1",
        )


def _words(gpus: int) -> str:
    return f"{gpus} GPUs are reserved and training uses {USED}: it is not distributed yet; write 1"
