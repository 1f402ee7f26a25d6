"""The evaluate and finetune jobs: evolve a student, train it under a teacher, score it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from detnas.actions import PROTECTED_STEPS, age
from detnas.errors import UserError
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import seed_of
from detnas_trainer.detector import detector_state, load_detector
from detnas_trainer.distillation import ADAPTOR_PREFIX, Adaptor, Distiller
from detnas_trainer.evolve import Evolved, evolve
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.learning import detector_result, device, load_data, train
from detnas_trainer.jobs.teacher import load_teacher
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.loop import seed_everything


@dataclass
class DistilledTrainee(DetectorTrainee):
    """A student that learns from data and teacher.

    The adaptor is part of the module, so that one state dict holds both.
    """

    distiller: Distiller

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        """mmdet's losses and the distillation's."""
        del iteration
        return self.distiller.loss(inputs, samples)


def student(job: Job[StudentRequest]) -> DetectorResult:
    """Evolve, distil, evaluate at every resolution, publish the weights.

    With 0 epochs the evolved student is evaluated as it is.
    """
    request = job.request
    data = load_data(job)
    evolved = _evolved(job)
    with job.activity("building"):
        detector = load_detector(
            evolved.architecture, request.detector, len(request.classes), evolved.state
        ).to(device())
        adaptor = _adaptor(request, evolved.state)
        if adaptor is not None:
            detector.add_module(ADAPTOR_PREFIX.rstrip("."), adaptor.to(device()))
    trainee = DistilledTrainee(detector, _distiller(job, detector, adaptor, data.train))
    trained = train(job, trainee, data.train)
    return detector_result(
        job,
        detector,
        data.val,
        trained,
        architecture=evolved.architecture,
        added=age(request.parent_added, evolved.origin, PROTECTED_STEPS),
        notes=evolved.notes,
        removed=evolved.removed,
    )


def _evolved(job: Job[StudentRequest]) -> Evolved:
    """The parent after the request's action, its adaptor among the weights."""
    request = job.request
    with job.activity("loading"):
        state = job.fetch(request.parent_weights).state
    if request.action is None:
        return Evolved(request.parent, state, {b.place: b.place for b in request.parent.blocks})
    with job.activity("evolving"):
        seed = seed_of("evolution", request.seed)
        found = evolve(request.parent, detector_state(state), request.action, seed)
        adaptor = {n: value for n, value in state.items() if n.startswith(ADAPTOR_PREFIX)}
        return replace(found, state={**found.state, **adaptor})


def _adaptor(request: StudentRequest, state: Mapping[str, Tensor]) -> Adaptor | None:
    """The parent's adaptor; without one, a new adaptor if features are compared."""
    if inherited := Adaptor.inherited(state):
        return inherited
    if request.teacher is None or request.distillation.features == "None":
        return None
    pool = _pool(request)
    seed_everything(seed_of("adaptor", request.seed))
    return Adaptor(request.detector.neck, pool.supernet.neck_width(pool.space.largest))


def _distiller(
    job: Job[StudentRequest],
    detector: TwoStageDetector,
    adaptor: Adaptor | None,
    data: DetectionData,
) -> Distiller:
    request = job.request
    if request.teacher is None or not request.training.epochs:
        return Distiller(detector, None, request.distillation)
    with job.activity("teacher"):
        teacher = load_teacher(job, _pool(request), request.teacher, data)
    return Distiller(detector, teacher, request.distillation, adaptor)


def _pool(request: StudentRequest) -> Any:
    if request.pool is None:
        raise UserError("teacher is given, but no pool", "give the pool that the teacher is of")
    return request.pool
