"""The winner of a search: which of its trained detectors is exported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from detnas.gain import Gain, GainMetric, paired_gain
from detnas.records.results import DetectorResult, Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.score import Scorer
from detnas.teachers import Teacher


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """A trained student under its teacher, or the base.

    Attributes:
        trial: its trial's number; None for the base.
        result: its encoding, weights and scores.
        teacher: its teacher, or the subnet that it is; None for the base.
        shape: of its neck and heads.
        score: H, the maximum over the resolutions (paper, 3.1.4).
        resolution: where that maximum is.
        map: mAP there, a fraction.
    """

    trial: int | None
    result: DetectorResult
    teacher: Teacher | None
    shape: DetectorShape
    score: float
    resolution: Resolution
    map: float

    @property
    def measured(self) -> Score:
        """Its metrics at that resolution."""
        return next(one for one in self.result.scores if one.resolution == self.resolution)

    @property
    def is_base(self) -> bool:
        """Whether it is the base itself."""
        return self.trial is None

    def is_better(self, other: "TrainedDetector") -> bool:
        """Whether its H is higher; of upgraded detectors the mAP, which costs them computation."""
        metric = self.compared_by(other)
        return self.value_of(metric) > other.value_of(metric)

    def compared_by(self, other: "TrainedDetector") -> GainMetric:
        """The metric that decides between two detectors."""
        upgraded = self.result.is_upgraded or other.result.is_upgraded
        return GainMetric.MAP if upgraded else GainMetric.H

    def value_of(self, metric: GainMetric) -> float:
        """Its H or its mAP, a fraction."""
        return self.map if metric is GainMetric.MAP else self.score


@dataclass(frozen=True, slots=True)
class Winner:
    """What is exported, and why.

    Attributes:
        detector: what is exported.
        reason: a sentence without a full stop.
        improved: it is better than the base: by H, or by mAP if it is upgraded.
        gain: over the base; None if it is not improved, or the errors are unknown.
    """

    detector: TrainedDetector
    reason: str
    improved: bool = True
    gain: Gain | None = None


def trained_detector(
    scorer: Scorer, trial: int | None, result: DetectorResult, teacher: Teacher | None
) -> TrainedDetector:
    """Return a trained detector with its score against the base.

    Args:
        scorer: scores it against the base.
        trial: its trial's number; None for the base.
        result: it has an architecture and scores.
        teacher: its teacher, or the subnet that it is; None for the base.
    """
    assert result.architecture is not None
    top = scorer.score(result.architecture, result.scores, teacher, result.shape).best
    shape = result.shape or scorer.shape(teacher)
    return TrainedDetector(trial, result, teacher, shape, top.h, top.resolution, top.map)


def choose_winner(
    best: TrainedDetector,
    finetuned: TrainedDetector | None,
    failure: str = "",
    earlier: Sequence[TrainedDetector] = (),
) -> Winner:
    """Return the fine-tuned student unless its score is worse than another's.

    Args:
        best: of the trials.
        finetuned: the same student fine-tuned; None if not requested or failed.
        failure: why the fine-tuning failed; empty if it did not.
        earlier: fine-tuned students of other trials, from when the search had fewer trials.
    """
    winner = _of_best_trial(best, finetuned, failure)
    rival = max(earlier, key=lambda student: student.score, default=winner.detector)
    if not rival.is_better(winner.detector):
        return winner
    found = f"trial {rival.trial}, fine-tuned before, has a better H ({rival.score:.4f})"
    return Winner(rival, f"{found} than trial {best.trial}: {winner.reason}")


def compare_with_base(
    student: Winner, base: TrainedDetector, has_export: Callable[[TrainedDetector], bool]
) -> Winner:
    """Return the base as the winner unless the student is better, and how certain that is.

    Args:
        student: the best of the students.
        base: of the search.
        has_export: whether a student's export has been requested: what an earlier version exported
            remains.
    """
    if student.detector.is_better(base):
        return _with_gain(student, base)
    found = f"no student is better than the base, whose H is {base.score:.4f}: {student.reason}"
    if not has_export(student.detector):
        return Winner(base, found, improved=False)
    kept = f"{found}; it stays exported, as an earlier version of detnas chose it"
    return Winner(student.detector, kept, improved=False)


def _with_gain(student: Winner, base: TrainedDetector) -> Winner:
    found = student.detector
    metric = found.compared_by(base)
    value, base_value = found.value_of(metric), base.value_of(metric)
    gain = paired_gain(found.measured, value, base.measured, base_value, metric)
    if gain is None:
        certainty = f"the error of {metric} is unknown, because the results have no bootstrap"
    elif gain.is_certain:
        certainty = f"its {metric} less the base's is {gain} over the validation images"
    else:
        certainty = f"not distinguishable from the base on the validation images ({metric} {gain})"
    return replace(student, reason=f"{student.reason}; {certainty}", gain=gain)


def _of_best_trial(
    best: TrainedDetector, finetuned: TrainedDetector | None, failure: str
) -> Winner:
    trial = f"trial {best.trial}"
    if finetuned is None:
        reason = f"fine-tuning failed ({failure})" if failure else "no fine-tuning was asked for"
        return Winner(best, f"{trial} has the best H of all trials ({best.score:.4f}); {reason}")
    if finetuned.result.is_upgraded:
        maps = f"{100 * best.map:.2f} % to {100 * finetuned.map:.2f} %"
        change = f"upgrade and fine-tuning took the mAP of {trial} from {maps}"
    else:
        change = f"fine-tuning took the H of {trial} from {best.score:.4f} to {finetuned.score:.4f}"
    if not best.is_better(finetuned):
        return Winner(finetuned, change)
    return Winner(best, f"{change}, so {trial} as it was is the best student")
