"""What the jobs of a search compute, in FLOPs of an image's forward pass; no machine is known yet.

A plain training step of an image counts as one forward pass of its detector here, whatever a
machine takes for it: `detnas.forecast.speed` has the seconds. Other steps and evaluations count
in proportion.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from detnas.architecture import Architecture
from detnas.cost import detector_costs
from detnas.forecast.trainings import Trainings
from detnas.records.results import MAX_JOB_SUBNETS
from detnas.records.settings import DetectorShape, Resolution
from detnas.records.verbs import Verb
from detnas.spec.teachers import Teachers
from detnas.teachers import TeacherSpace

FORWARD = 1 / 3
"""Of a training step is the forward pass."""

LOSSES = 0.3
"""What distillation losses add to a plain step of the base."""

_SCORED_SUBNETS = 5
"""Subnets of the pool that its last phase scores."""

_CONTESTANTS = 2
"""Detectors that are scored on the test images, beside the base at two sizes."""


@dataclass(frozen=True)
class Loads:
    """FLOPs of a forward pass, for one image, the mean over the sizes.

    Attributes:
        base: of the base.
        supernet: of the pool's largest subnet.
        subnets: of a typical subnet of each phase of the pool; the first is the supernet.
        teacher: of a typical teacher.
        sizes: number of sizes.
    """

    base: float
    supernet: float
    subnets: tuple[float, ...]
    teacher: float
    sizes: int

    @property
    def student_step(self) -> float:
        """Of a step of a student as large as the base, under a typical teacher."""
        return self.base * (1 + LOSSES) + FORWARD * self.teacher

    def subnet_step(self, phase: int) -> float:
        """Of a step of a phase of the pool."""
        if phase == 0:
            return self.supernet
        return self.subnets[phase] + FORWARD * self.supernet + LOSSES * self.base


def loads(
    architecture: Architecture,
    shape: DetectorShape,
    classes: int,
    sizes: tuple[Resolution, ...],
    teachers: Teachers,
) -> Loads:
    """Return what the detectors of a search compute.

    Args:
        architecture: the base's backbone.
        shape: neck and heads of the base.
        classes: of the data set, without background.
        sizes: of the images.
        teachers: the pool.
    """

    def flops(backbone: Architecture, neck: int) -> float:
        costs = detector_costs(
            backbone, shape.model_copy(update={"neck": neck}), classes, sizes
        ).values()
        return fmean(one.flops for one in costs)

    def middle(space: TeacherSpace) -> float:
        ends = (space.largest, space.smallest)
        supernet = teachers.supernet
        return fmean(flops(supernet.architecture(one), supernet.neck_width(one)) for one in ends)

    phases = range(len(teachers.phases))
    largest = middle(teachers.phase_space(0))
    return Loads(
        base=flops(architecture, shape.neck),
        supernet=largest,
        subnets=tuple(middle(teachers.phase_space(number)) for number in phases),
        teacher=middle(teachers.search_space),
        sizes=len(sizes),
    )


@dataclass(frozen=True)
class JobWork:
    """What each of some equal jobs computes.

    Attributes:
        verb: their kind.
        jobs: their number.
        trained: FLOPs of all its images' steps.
        scored: FLOPs of all its images' evaluations.
        images: that the data check reads.
        number: of the pool's phase.
    """

    verb: Verb
    jobs: int
    trained: float = 0.0
    scored: float = 0.0
    images: int = 0
    number: int = 0


def search_work(
    trainings: Trainings, load: Loads, images: Mapping[str, int]
) -> tuple[JobWork, ...]:
    """Return the work of a search, in the order in which its jobs run.

    Args:
        trainings: that it runs.
        load: of its detectors.
        images: number of images of each split, by name.
    """
    return tuple(one for one in _work(trainings, load, images) if one.jobs)


def _work(trainings: Trainings, load: Loads, images: Mapping[str, int]) -> Iterator[JobWork]:
    train, val, test = (images.get(split, 0) for split in ("train", "val", "test"))
    scored = load.base * load.sizes * val
    yield JobWork(Verb.PREPARE, 1, images=train + val + test)
    yield JobWork(Verb.BASE, 1, train * load.base * trainings.base, scored)
    yield from _pool(trainings.pool, load, train, val)
    if trainings.searches_pool:
        jobs = -(-trainings.trials // MAX_JOB_SUBNETS)
        each = load.teacher * load.sizes * val * trainings.trials / jobs
        yield JobWork(Verb.SUBNETS, jobs, scored=each)
        yield JobWork(Verb.EXTRACT, 1, scored=load.teacher * load.sizes * val)
    else:
        step = load.student_step if trainings.taught else load.base
        yield JobWork(Verb.EVALUATE, trainings.trials, train * step * trainings.trial, scored)
    tuned = train * load.student_step * trainings.finetune
    yield JobWork(Verb.FINETUNE, trainings.finetuned, tuned, scored)
    continued = train * load.base * trainings.baseline
    yield JobWork(Verb.BASELINE, trainings.baselines, continued, scored)
    tested = (2 + _CONTESTANTS + trainings.baselines) * load.base * test
    yield JobWork(Verb.TEST, 1 if test else 0, scored=tested)
    yield JobWork(Verb.EXPORT, 1, scored=(1 + trainings.files) * load.base * val)


def _pool(epochs: Iterable[int], load: Loads, train: int, val: int) -> Iterator[JobWork]:
    lengths = tuple(epochs)
    for phase, length in enumerate(lengths):
        is_last = phase == len(lengths) - 1 and phase > 0
        others = (_SCORED_SUBNETS - 1) * load.subnets[phase]  # each at one size
        scored = load.supernet * load.sizes + others * is_last
        yield JobWork(
            Verb.POOL,
            1,
            trained=train * load.subnet_step(phase) * length,
            scored=scored * val,
            number=phase,
        )
