"""The score H of a detector against the base (paper, 3.1.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from detnas.architecture import Architecture
from detnas.cost import detector_cost, detector_costs
from detnas.errors import UserError
from detnas.records.latency import RelativeLatency
from detnas.records.results import Latency, MetricError, Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.schema import Count, Schema, added
from detnas.teachers import SupernetShape, Teacher


class Estimate(Schema):
    """What a detector's mAP is estimated to be, beside what was measured.

    Attributes:
        map: the estimate.
        error: its standard error.
        noise: standard error of the measurement that it was made from.
    """

    map: float
    error: float
    noise: float


class ResolutionScore(Schema):
    """A detector at one resolution.

    Attributes:
        map: COCO mAP, an unrounded fraction.
        flops: of one image at this resolution; the score itself takes those at the base's.
        h: the score.
        map_error: standard error of mAP; None if unknown.
        estimate: of mAP, by which trials are selected; None if that is done by what was measured.
        latency: beside the base's, which is the same for all detectors of the search at this
            resolution; None if H counts FLOPs.
    """

    resolution: Resolution
    map: float
    flops: Count
    h: float
    map_error: MetricError | None = added(1)
    estimate: Estimate | None = added(1)
    latency: RelativeLatency | None = added(1)

    @property
    def milliseconds(self) -> float | None:
        """Time of one image, if H counts latencies."""
        return None if self.latency is None else self.latency.milliseconds

    @property
    def cost(self) -> float:
        """What is weighed against mAP: milliseconds if H counts latencies, else FLOPs."""
        return self.flops if self.latency is None else self.latency.milliseconds

    @property
    def time(self) -> Latency | None:
        """The latency that H counts; None if it counts FLOPs."""
        if self.latency is None:
            return None
        milliseconds, device = self.latency.milliseconds, self.latency.device
        return Latency(resolution=self.resolution, milliseconds=milliseconds, device=device)

    @property
    def h_error(self) -> float | None:
        """Standard error of H, which is mAP times what is known exactly; None if unknown."""
        if self.map_error is None or self.map <= 0:
            return None
        return self.map_error * self.h / self.map

    @property
    def estimated_h(self) -> float:
        """H of the estimate; of a detector that finds nothing 0, and H itself without one."""
        if self.estimate is None or self.map <= 0:
            return self.h
        return self.estimate.map * self.h / self.map


@dataclass(frozen=True, slots=True)
class Objective:
    """What H compares a detector with, and by which weights.

    Attributes:
        base_resolution: R_base, the largest resolution of the search.
        alpha: weight of the complexity.
        beta: weight of the resolution within the complexity.
    """

    base_resolution: Resolution
    alpha: float
    beta: float

    def h(self, mean_ap: float, relative: float, resolution: Resolution) -> float:
        """H = mAP × [(C / C_base) × (R / R_base)^β]^−α.

        Args:
            mean_ap: mAP at the resolution, as a fraction.
            relative: C / C_base: FLOPs at the *base* resolution, or latencies at this one.
            resolution: its pixels are R.
        """
        pixels = resolution.pixels / self.base_resolution.pixels
        return float(mean_ap * (relative * pixels**self.beta) ** -self.alpha)


def best(scored: Sequence[ResolutionScore]) -> ResolutionScore:
    """The resolution of highest score; of equals, the first.

    Raises:
        ValueError: there is none.
    """
    return max(scored, key=lambda one: one.h)


@dataclass(frozen=True, slots=True)
class ScoredDetector:
    """A detector with its cost, and its score at every resolution.

    Attributes:
        flops: C, of one image at the base resolution.
    """

    flops: int
    parameters: int
    scores: tuple[ResolutionScore, ...]

    @property
    def best(self) -> ResolutionScore:
        """The resolution of highest score; of equals, the first."""
        return best(self.scores)


@dataclass(frozen=True)
class Scorer:
    """Scores detectors against the base detector, which is scored itself.

    Attributes:
        architecture: the base's backbone.
        detector: shape of neck and heads, the same for base and students that are not upgraded.
        classes: number of classes.
        base_resolution: R_base, the largest resolution listed.
        alpha: of H.
        beta: of H.
        scores: the base's own, one per resolution.
        supernet: of the pool whose subnets are searched, each with a neck of its own width; None if
            students are, which have the base's.
        by_latency: C is the latency of each resolution (`search.objective: Latency`), not the FLOPs
            at the base resolution.
    """

    architecture: Architecture
    detector: DetectorShape
    classes: int
    base_resolution: Resolution
    alpha: float
    beta: float
    scores: tuple[Score, ...] = ()
    supernet: SupernetShape | None = None
    by_latency: bool = False

    @cached_property
    def flops(self) -> int:
        """C_base: of the base at the base resolution."""
        return self.flops_of(self.architecture, self.base_resolution)

    @cached_property
    def scored(self) -> tuple[ResolutionScore, ...]:
        """The base's own H at every resolution."""
        return self.score(self.architecture, self.scores).scores

    @cached_property
    def objective(self) -> Objective:
        """H against this base."""
        return Objective(self.base_resolution, self.alpha, self.beta)

    def relative_cost(self, flops: int, latency: RelativeLatency | None) -> float:
        """C / C_base of a detector.

        Args:
            flops: of one image at the base resolution.
            latency: at the resolution that is scored.

        Raises:
            UserError: the latency counts, and is unknown.
        """
        if not self.by_latency:
            return flops / self.flops
        if latency is None:
            raise UserError(
                "search.objective is Latency, and a result has scores without latencies",
                "restore the object: results are never edited",
            )
        return latency.relative

    @cached_property
    def _base_milliseconds(self) -> dict[Resolution, float]:
        latencies = {one.resolution: one.latency for one in self.scores}
        return {size: one.base_milliseconds for size, one in latencies.items() if one is not None}

    def _latency(self, score: Score) -> RelativeLatency | None:
        """Of a score, beside the base's as its own job measured it."""
        if score.latency is None or not self.by_latency:
            return None
        base = self._base_milliseconds.get(score.resolution, score.latency.base_milliseconds)
        return score.latency.beside(base)

    def shape(self, teacher: Teacher | None) -> DetectorShape:
        """Return the shape of neck and heads of a trial's detector.

        Args:
            teacher: of the trial, or the subnet that it evaluates; None for the base.
        """
        if self.supernet is None or teacher is None:
            return self.detector
        return self.detector.model_copy(update={"neck": self.supernet.neck_width(teacher)})

    def flops_of(
        self, architecture: Architecture, resolution: Resolution, teacher: Teacher | None = None
    ) -> int:
        """FLOPs of a complete detector at a resolution; ``teacher`` as of `shape`."""
        return detector_cost(architecture, self.shape(teacher), self.classes, resolution).flops

    def score(
        self,
        architecture: Architecture,
        scores: Sequence[Score],
        teacher: Teacher | None = None,
        upgraded: DetectorShape | None = None,
    ) -> ScoredDetector:
        """Score a detector at every resolution that was evaluated, in the same order.

        Args:
            architecture: its backbone.
            scores: what it reaches.
            teacher: as of `shape`.
            upgraded: its shape, if an upgrade made it another.

        Raises:
            UserError: latencies count, and one is unknown.
        """
        resolutions = [self.base_resolution, *(score.resolution for score in scores)]
        shape = upgraded or self.shape(teacher)
        costs = detector_costs(architecture, shape, self.classes, resolutions)
        cost, objective = costs[self.base_resolution], self.objective
        scored = tuple(
            ResolutionScore(
                resolution=score.resolution,
                map=score.map,
                flops=costs[score.resolution].flops,
                h=objective.h(
                    score.map, self.relative_cost(cost.flops, score.latency), score.resolution
                ),
                map_error=score.map_error,
                latency=self._latency(score),
            )
            for score in scores
        )
        return ScoredDetector(cost.flops, cost.parameters, scored)
