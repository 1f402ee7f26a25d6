"""The trainings that a search will run, by the fields of the manifest that describe them."""

from detnas.records.requests import TRIAL, PlannedTraining
from detnas.spec.manifest import SearchSpec
from detnas.spec.search import EvaluationMode


def trial_training_field(spec: SearchSpec) -> str:
    """Return the field of the manifest in which the training of a trial is set."""
    iterative = spec.evaluation.mode is EvaluationMode.ITERATIVE
    return "spec.evaluation" if iterative else "spec.base.train"


def planned_trainings(spec: SearchSpec) -> tuple[PlannedTraining, ...]:
    """Return every training that a search runs, with the field that it is set in."""
    trainings = []
    if spec.base.train is not None and spec.warm_start is None:
        trainings.append(("the base", "spec.base.train", spec.base.train.training))
    if spec.teachers.pool is None:
        trainings += [
            (f"phase {number} of the pool", "spec.teachers", spec.teachers.phase_training(number))
            for number in range(len(spec.teachers.trained_phases))
        ]
    if not spec.searches_pool:
        trainings.append((TRIAL, trial_training_field(spec), spec.trial_training))
    if spec.finetune is not None:
        trainings.append(("the fine-tuning", "spec.finetune", spec.finetune.training))
    return tuple(
        PlannedTraining(name=name, field=field, training=training)
        for name, field, training in trainings
    )
