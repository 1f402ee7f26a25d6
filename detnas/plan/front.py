"""The outcome of a search: its detectors that no other is as accurate and as cheap as."""

from collections.abc import Iterable, Sequence

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.summary import FrontPoint
from detnas.plan.winner import TrainedDetector
from detnas.records.latency import Milliseconds
from detnas.records.settings import Resolution
from detnas.schema import Count, Flag, Schema
from detnas.score import ResolutionScore, Scorer


class MeasuredDetector(Schema):
    """A detector at one resolution, as it was measured.

    Attributes:
        trial: that trained it; None for the base.
        finetuned: it is the trial's student after the fine-tuning.
        map: COCO mAP, a fraction.
        map_error: its standard error over the validation images; None if unknown.
        flops: of one image at this resolution.
        h: the score.
        milliseconds: of one image, if H counts latencies: then that is the cost, not the FLOPs.
    """

    trial: Count | None = None
    finetuned: Flag = False
    resolution: Resolution
    map: float
    map_error: float | None = None
    flops: Count
    h: float
    milliseconds: Milliseconds | None = None

    @property
    def cost(self) -> float:
        """What is weighed against mAP; all detectors of a search have milliseconds, or none has."""
        return self.flops if self.milliseconds is None else self.milliseconds

    @property
    def name(self) -> str:
        """Such as ``trial 31, fine-tuned``."""
        if self.trial is None:
            return "the base"
        return f"trial {self.trial}{', fine-tuned' if self.finetuned else ''}"

    @property
    def identity(self) -> tuple[int | None, bool, str]:
        """What tells it from all others of the search."""
        return self.trial, self.finetuned, str(self.resolution)


def measured_detectors(
    base: Scorer | None,
    front: Iterable[FrontPoint],
    trials: Iterable[LedgerEntry] = (),
    finetuned: Iterable[TrainedDetector] = (),
) -> tuple[MeasuredDetector, ...]:
    """Return the detectors of a search that may be recommended, at every resolution.

    Args:
        base: scores against the base; None while it has no score.
        front: of the trials: what it leaves out is dominated.
        trials: further ones, which may be dominated, and have been exported all the same.
        finetuned: students after a fine-tuning.
    """
    if base is None:
        return ()
    found = [_scored(None, one) for one in base.scored]
    found += [MeasuredDetector(trial=p.index, **p.model_dump(exclude={"index"})) for p in front]
    for entry in trials:
        found += [_scored(entry.index, one) for one in entry.scores]
    for student in finetuned:
        result = student.result
        assert result.architecture is not None
        scored = base.score(result.architecture, result.scores, student.teacher, result.shape)
        found += [_scored(student.trial, one, finetuned=True) for one in scored.scores]
    return tuple({one.identity: one for one in found}.values())


def pareto_front(detectors: Iterable[MeasuredDetector]) -> tuple[MeasuredDetector, ...]:
    """Return those that no other dominates, by rising cost; of equals the first."""
    front: list[MeasuredDetector] = []
    ordered = sorted(detectors, key=lambda one: (one.cost, -one.map))
    for one in ordered:
        if not front or one.map > front[-1].map:
            front.append(one)
    return tuple(front)


def thinned(front: Sequence[MeasuredDetector], most: int) -> tuple[MeasuredDetector, ...]:
    """Return at most so many points of a front, evenly spread over its order, with both ends.

    Args:
        front: by rising cost.
        most: at least 2.
    """
    if len(front) <= most:
        return tuple(front)
    last = len(front) - 1
    return tuple(front[round(step * last / (most - 1))] for step in range(most))


def _scored(
    trial: int | None, scored: ResolutionScore, *, finetuned: bool = False
) -> MeasuredDetector:
    return MeasuredDetector(
        trial=trial,
        finetuned=finetuned,
        resolution=scored.resolution,
        map=scored.map,
        map_error=scored.map_error,
        flops=scored.flops,
        h=scored.h,
        milliseconds=scored.milliseconds,
    )
