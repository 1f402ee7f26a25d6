"""The pool job: one phase of integrated progressive shrinking, then what its subnets reach."""

from collections.abc import Iterator
from random import Random
from statistics import fmean

from torch import Tensor

from detnas.records.requests import PoolLayout, PoolPhaseRequest
from detnas.records.results import PoolPhaseResult, SubnetScore
from detnas.records.settings import Resolution
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import seed_of
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.verbs.scoring import subnet_score
from detnas_trainer.jobs.verbs.teacher import on_device, own_detector, statistics_batches
from detnas_trainer.jobs.verbs.training import DataSet, device, load_data, train
from detnas_trainer.supernet import build_phase
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.gradients import seed_everything

_RANDOM_SUBNETS = 3


def pool(job: Job[PoolPhaseRequest]) -> PoolPhaseResult:
    """Train the phase, score subnets of its space, publish the supernet's weights."""
    data = load_data(job)
    subnets = dict(_scored_subnets(job.request))
    job.remaining.evaluating = len(data.val) * _scored_pixels(job.request, len(subnets))
    with job.activity("building"):
        phase = _phase(job, data.train)
    trained = train(job, phase, data.train)
    state = phase.module.state_dict()
    weights = job.publish(state, phase=job.request.phase)
    return job.result(
        PoolPhaseResult,
        subnets=_scores(job, state, subnets, data),
        iterations=trained.iterations,
        final_loss=trained.final_loss,
        micro_batch=trained.micro_batch,
        files={"weights": weights},
    )


def _phase(job: Job[PoolPhaseRequest], data: DetectionData) -> DetectorTrainee:
    request = job.request
    previous, supernet = (
        None if artifact is None else on_device(job.fetch(artifact).state)
        for artifact in (request.previous, request.supernet_weights)
    )
    seed_everything(seed_of("initialisation", request.seed))
    with device():  # a later phase's teacher is built there too
        samples = statistics_batches(request, request.seed, request.bn_images, data)
        phase = build_phase(request, previous, supernet, samples)
    phase.module.to(device())
    return phase


def _scored_subnets(request: PoolPhaseRequest) -> Iterator[tuple[str, Teacher]]:
    """The largest subnet; after the last phase also the smallest and three random ones."""
    space = request.space
    yield "largest", space.largest
    if space != request.full_space:
        return
    yield "smallest", space.smallest
    random = Random(seed_of("scored subnets", request.seed))
    for number in range(1, _RANDOM_SUBNETS + 1):
        yield f"random {number}", space.sample(random)


def _scored_pixels(request: PoolPhaseRequest, subnets: int) -> float:
    """Pixels that all scores take of each image; the others' resolution is not known yet."""
    sizes = [resolution.pixels for resolution in request.resolutions]
    return sum(sizes) + (subnets - 1) * fmean(sizes)


def _scores(
    job: Job[PoolPhaseRequest],
    state: dict[str, Tensor],
    subnets: dict[str, Teacher],
    data: DataSet,
) -> tuple[SubnetScore, ...]:
    """The largest at every resolution; the others where the largest is best, to save time."""
    resolutions: tuple[Resolution, ...] = job.request.resolutions
    found: list[SubnetScore] = []
    for name, teacher in subnets.items():
        score = _score(job, state, name, teacher, resolutions, data)
        found.append(score)
        if len(found) == 1:
            resolutions = (max(score.scores, key=lambda s: s.map).resolution,)
    return tuple(found)


def _score(
    job: Job[PoolPhaseRequest],
    state: dict[str, Tensor],
    name: str,
    teacher: Teacher,
    resolutions: tuple[Resolution, ...],
    data: DataSet,
) -> SubnetScore:
    request = job.request
    layout = PoolLayout(supernet=request.supernet, space=request.full_space)
    samples = statistics_batches(request, request.seed, request.bn_images, data.train)
    detector = own_detector(job, state, layout, teacher, samples)
    return subnet_score(job, detector, data.val, resolutions, name, teacher)
