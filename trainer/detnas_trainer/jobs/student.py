"""The evaluate and finetune jobs: evolve a student, train it under a teacher, score it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from detnas.actions import PROTECTED_STEPS, AddedBlock, age
from detnas.architecture import Architecture, Place
from detnas.errors import UserError
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import seed_of
from detnas_trainer.detector import detector_state, load_detector
from detnas_trainer.distillation import ADAPTOR_PREFIX, Adaptor, Distiller
from detnas_trainer.evolve import evolve
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.learning import device, learn, load_data, score_at
from detnas_trainer.jobs.teacher import load_teacher
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.loop import seed_everything


@dataclass(frozen=True)
class Student:
    """A student after its action, before training.

    Attributes:
        architecture: its backbone.
        state: weights inherited from the parent; the adaptor's among them, where it has one.
        added: blocks its lineage added recently.
        notes: what the evolution did that a reader should know.
        removed: places of the parent that layer pruning removed.
    """

    architecture: Architecture
    state: dict[str, Tensor]
    added: tuple[AddedBlock, ...]
    notes: tuple[str, ...] = ()
    removed: tuple[Place, ...] = ()


@dataclass
class DistilledTrainee(DetectorTrainee):
    """A student that learns from data and teacher.

    Attributes:
        module: the student, its adaptor inside, so that one state dict holds both.
        distiller: the loss.
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
    learned = learn(job, trainee, data.train)
    scores = score_at(job, detector, data.val, request.resolutions)
    weights = job.publish(
        detector.state_dict(),
        architecture=evolved.architecture.model_dump(mode="json"),
        classes=list(request.classes),
    )
    return job.result(
        DetectorResult,
        architecture=evolved.architecture,
        added=evolved.added,
        scores=scores,
        notes=evolved.notes,
        removed=evolved.removed,
        iterations=learned.iterations,
        final_loss=learned.final_loss,
        loss_by_epoch=learned.loss_by_epoch,
        files={"weights": weights},
    )


def _evolved(job: Job[StudentRequest]) -> Student:
    request = job.request
    with job.activity("loading"):
        state = job.fetch(request.parent_weights).state
    if request.action is None:
        origin: dict[Place, Place | None] = {b.place: b.place for b in request.parent.blocks}
        added = age(request.parent_added, origin, PROTECTED_STEPS)
        return Student(request.parent, state, added)
    with job.activity("evolving"):
        adaptor = {n: value for n, value in state.items() if n.startswith(ADAPTOR_PREFIX)}
        seed = seed_of("evolution", request.seed)
        found = evolve(request.parent, detector_state(state), request.action, seed)
        return Student(
            found.architecture,
            {**found.state, **adaptor},
            age(request.parent_added, found.origin, PROTECTED_STEPS),
            tuple(found.notes),
            tuple(found.removed),
        )


def _adaptor(request: StudentRequest, state: Mapping[str, Tensor]) -> Adaptor | None:
    """The parent's adaptor, whoever teaches; a fresh one where features are first compared."""
    inherited = {
        name.removeprefix(ADAPTOR_PREFIX): value
        for name, value in state.items()
        if name.startswith(ADAPTOR_PREFIX)
    }
    compares = request.teacher is not None and request.distillation.features != "None"
    if inherited:
        outputs, inputs = inherited["convolution.weight"].shape[:2]
        adaptor = Adaptor(inputs, outputs)
        adaptor.load_state_dict(inherited)
        return adaptor
    if not compares:
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
