"""How often each kind of job passes over the images, as a manifest sets it."""

from dataclasses import dataclass

from detnas.spec.manifest import SearchSpec
from detnas.spec.search import Strategy

LINEAGE = 5
"""Trials between the base and the best student, as a guess: a baseline is trained as long."""


@dataclass(frozen=True)
class Trainings:
    """The trainings of a search; all numbers are epochs unless stated otherwise.

    Attributes:
        base: 0 if the base is not trained.
        pool: of its phases; empty if no pool is trained.
        trial: of a trial.
        trials: their number.
        finetune: of the fine-tuning of a student.
        finetuned: number of students that are fine-tuned.
        baselines: number of baselines.
        taught: trials train under a teacher.
        searches_pool: trials evaluate subnets of the pool, without training.
        files: number of files that are exported and scored beside mmdet's folder.
    """

    base: int
    pool: tuple[int, ...]
    trial: int
    trials: int
    finetune: int = 0
    finetuned: int = 0
    baselines: int = 0
    taught: bool = True
    searches_pool: bool = False
    files: int = 0

    @property
    def baseline(self) -> int:
        """Epochs of a baseline: those of the best student's lineage and fine-tuning."""
        return LINEAGE * self.trial + self.finetune


def trainings_of(spec: SearchSpec) -> Trainings:
    """Return the trainings that a manifest asks for."""
    train = spec.base.train if spec.warm_start is None else None
    phases = spec.teachers.trained_phases if spec.teachers.pool is None else ()
    return Trainings(
        base=train.epochs if train else 0,
        pool=tuple(phase.epochs for phase in phases),
        trial=0 if spec.searches_pool else spec.trial_training.epochs,
        trials=spec.search.trials,
        finetune=spec.finetune.epochs if spec.finetune else 0,
        finetuned=spec.finetune.candidates if spec.finetune else 0,
        baselines=len(spec.baselines),
        taught=spec.search.strategy is not Strategy.PIPELINE,
        searches_pool=spec.searches_pool,
        files=len(spec.export.wanted) if spec.export else 0,
    )
