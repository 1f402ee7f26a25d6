"""The evaluate, finetune and baseline jobs: evolve a student, train it, score it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from torch import Tensor

from detnas.actions import PROTECTED_STEPS, age
from detnas.architecture import Architecture, Place
from detnas.cost import detector_cost
from detnas.errors import UserError
from detnas.records.requests import Pool, RepeatedChannelPruning, StudentRequest
from detnas.records.results import DetectorResult
from detnas.records.settings import DetectorShape
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import seed_of
from detnas_trainer.detector import (
    ADAPTOR,
    ADAPTOR_PREFIX,
    build_detector,
    detector_state,
    load_detector,
)
from detnas_trainer.distillation import Adaptor, Distiller
from detnas_trainer.evolve import (
    Evolved,
    InvalidActionError,
    evolve,
    narrow_channels,
    upgraded_architecture,
    upgraded_shape,
    upgraded_state,
)
from detnas_trainer.foreign import ExternalTeacher
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.verbs.external_teacher import load_external_teacher
from detnas_trainer.jobs.verbs.relative_latency import relative_latencies
from detnas_trainer.jobs.verbs.scoring import detector_result
from detnas_trainer.jobs.verbs.teacher import load_teacher
from detnas_trainer.jobs.verbs.training import device, load_data, train
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.supernet import teachers_to_draw
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.gradients import seed_everything

_LESS_PRUNING = {"Finetune": "raise finetune.flopsFraction, or lower minimumChannels"}

Teachers = tuple[TwoStageDetector, ...] | tuple[ExternalTeacher]


@dataclass
class DistilledTrainee(DetectorTrainee):
    """A student that learns from data and teacher.

    The adaptor is part of the module, so that one state dict holds both.

    Attributes:
        distiller: adds the distillation to the student's losses.
        seed: of the draws of teachers.
        teachers: one is drawn for each step; if empty, the distiller's own teaches them all.
    """

    distiller: Distiller
    seed: int
    teachers: Teachers = ()

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        """mmdet's losses and the distillation's, under the iteration's teacher."""
        if self.teachers:
            draw = Random(f"teacher/{self.seed}/{iteration}")
            self.distiller.teacher = draw.choice(self.teachers)
        return self.distiller.loss(inputs, samples)


def student(job: Job[StudentRequest]) -> DetectorResult:
    """Evolve, distil, evaluate at every resolution, publish the weights.

    With 0 epochs the evolved student is evaluated as it is.
    """
    request = job.request
    data = load_data(job)
    evolved, shape = _upgraded(request, _evolved(job))
    latencies = relative_latencies(job, evolved.architecture, shape, data.val)
    teachers = _teachers(job, data.train)
    with job.activity("building"):
        detector = load_detector(
            evolved.architecture, shape, len(request.classes), evolved.state
        ).to(device())
        adaptor = _adaptor(request, evolved.state, teachers)
        if adaptor is not None:
            detector.add_module(ADAPTOR, adaptor.to(device()))
    distiller = Distiller(
        detector, teachers[0] if teachers else None, request.distillation, adaptor
    )
    trainee = DistilledTrainee(detector, distiller, request.seed, teachers)
    trained = train(job, trainee, data.train)
    return detector_result(
        job,
        detector,
        data.val,
        trained,
        architecture=evolved.architecture,
        latencies=latencies,
        added=age(request.parent_added, evolved.origin, PROTECTED_STEPS),
        notes=evolved.notes,
        removed=evolved.removed,
        shape=None if shape == request.detector else shape,
    )


def _upgraded(request: StudentRequest, found: Evolved) -> tuple[Evolved, DetectorShape]:
    """The student and its shape after the request's upgrade."""
    upgrade, before = request.upgrade, request.detector
    if upgrade is None:
        return found, before
    architecture = upgraded_architecture(found.architecture, upgrade)
    shape = upgraded_shape(before, upgrade)
    state = upgraded_state(found.state, architecture, before, shape)
    return replace(found, architecture=architecture, state=state), shape


def _evolved(job: Job[StudentRequest]) -> Evolved:
    """The parent after the request's action, its adaptor among the weights."""
    request = job.request
    with job.activity("loading"):
        state = job.fetch(request.parent_weights).state
    with job.activity("evolving"):
        evolved = _after_action(request, state)
        return evolved if request.inherit else _initialised(request, evolved)


def _after_action(request: StudentRequest, state: Mapping[str, Tensor]) -> Evolved:
    if request.narrowed is not None:
        return _narrowed(request, request.narrowed, state)
    if request.action is None:
        return Evolved(request.parent, dict(state), _unmoved(request.parent))
    seed = seed_of("evolution", request.seed)
    weights = detector_state(state)
    if isinstance(request.action, RepeatedChannelPruning):
        found = _pruned(request, request.action, weights, seed)
    else:
        found = evolve(request.parent, weights, request.action, seed)
    adaptor = {n: value for n, value in state.items() if n.startswith(ADAPTOR_PREFIX)}
    return replace(found, state={**found.state, **adaptor})


def _narrowed(
    request: StudentRequest, narrowed: Architecture, state: Mapping[str, Tensor]
) -> Evolved:
    """The parent with smaller widths, and without an adaptor."""
    weights = narrow_channels(request.parent, detector_state(state), narrowed)
    return Evolved(narrowed, weights, _unmoved(narrowed), ("every width was scaled",))


def _unmoved(architecture: Architecture) -> dict[Place, Place | None]:
    """The origin of blocks that all stay where they are."""
    return {placed.place: placed.place for placed in architecture.blocks}


def _initialised(request: StudentRequest, evolved: Evolved) -> Evolved:
    """The same student with weights of its own, and without an adaptor."""
    seed_everything(seed_of("student", request.seed))
    fresh = build_detector(
        evolved.architecture,
        request.detector,
        len(request.classes),
        zero_init_residual=request.zero_init_residual,
    )
    return replace(evolved, state=fresh.state_dict(), notes=())


def _pruned(
    request: StudentRequest, pruning: RepeatedChannelPruning, state: Mapping[str, Tensor], seed: int
) -> Evolved:
    """The parent after as many steps of pruning as its FLOPs need.

    Raises:
        InvalidActionError: no more channels can be removed.
    """

    def flops(architecture: Architecture) -> int:
        size = pruning.resolution
        return detector_cost(architecture, request.detector, len(request.classes), size).flops

    unmoved = _unmoved(request.parent)
    found, steps = Evolved(request.parent, dict(state), unmoved), 0
    while (left := flops(found.architecture)) > pruning.flops:
        try:
            found, steps = evolve(found.architecture, found.state, pruning.step, seed), steps + 1
        except InvalidActionError as error:
            raise InvalidActionError(
                f"{pruning.flops / 1e9:.4g} GFLOPs cannot be reached, only {left / 1e9:.4g}: "
                f"{error.problem}",
                _LESS_PRUNING.get(request.kind, "lower minimumChannels"),
            ) from error
    before, after = flops(request.parent) / 1e9, left / 1e9
    note = f"pruned in {steps} steps from {before:.4g} to {after:.4g} GFLOPs"
    return replace(found, origin=unmoved, notes=(note,))


def _adaptor(
    request: StudentRequest, state: Mapping[str, Tensor], teachers: Teachers
) -> Adaptor | None:
    """The parent's adaptor; without one, a new adaptor if features are compared."""
    inherited = None if request.new_adaptor else Adaptor.inherited(state)
    width = _adapted_width(request, teachers)
    # A search may have inherited students that other teachers taught.
    if inherited is not None and (request.external is None or width in (0, inherited.outputs)):
        return inherited
    if not width:
        return None
    seed_everything(seed_of("adaptor", request.seed))
    return Adaptor(request.detector.neck, width)


def _adapted_width(request: StudentRequest, teachers: Teachers) -> int:
    """Channels of the widest teacher's neck; 0 if no features are compared."""
    if request.distillation.features == "None":
        return 0
    if request.external is not None:
        return teachers[0].neck_width if teachers else 0
    if request.teacher is None:
        return 0
    pool = _pool(request)
    return pool.supernet.neck_width(pool.space.largest)


def _teachers(job: Job[StudentRequest], data: DetectionData) -> Teachers:
    """The teachers of the training: one, those that steps draw from, or none."""
    request = job.request
    if not request.training.epochs:
        return ()
    if request.external is not None:
        with job.activity("teacher"):
            return (load_external_teacher(job, request.external),)
    if request.teacher is None:
        return ()
    pool = _pool(request)
    chosen: tuple[Teacher, ...] = (request.teacher,)
    if request.draws_teachers:
        chosen = teachers_to_draw(pool.seed, pool.space)
    with job.activity("teacher"):
        return tuple(load_teacher(job, pool, teacher, data) for teacher in chosen)


def _pool(request: StudentRequest) -> Pool:
    if request.pool is None:
        raise UserError("teacher is given, but no pool", "give the pool that the teacher is of")
    return request.pool
