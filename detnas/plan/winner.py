"""The winner of a search: which of its trained detectors is exported."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from detnas.gain import Gain, GainMetric, measured_on, paired_gain
from detnas.ledger.entry import LedgerEntry
from detnas.records.results import DetectorResult, Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.score import Scorer
from detnas.spec.baselines import Baseline
from detnas.teachers import Teacher


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """A trained student under its teacher, or the base.

    Attributes:
        trial: its trial's number; None for the base and a baseline.
        result: its encoding, weights and scores.
        teacher: its teacher, or the subnet that it is; None for the base and a baseline.
        shape: of its neck and heads.
        score: H, the maximum over the resolutions (paper, 3.1.4).
        resolution: where that maximum is.
        map: mAP there, a fraction.
        tuned: it was fine-tuned after its trial.
        baseline: which baseline it is; None for the base and a student.
        estimate: of H, by which its trial was selected; None if that was the score.
    """

    trial: int | None
    result: DetectorResult
    teacher: Teacher | None
    shape: DetectorShape
    score: float
    resolution: Resolution
    map: float
    tuned: bool = False
    baseline: Baseline | None = None
    estimate: float | None = None

    @property
    def name(self) -> str:
        """Its name among the detectors of the search, for files."""
        if self.baseline is not None:
            return self.baseline.words.replace(" ", "-")
        if self.trial is None:
            return "base"
        return f"trial-{self.trial}{'-finetuned' if self.tuned else ''}"

    @property
    def measured(self) -> Score:
        """Its metrics at that resolution."""
        return next(one for one in self.result.scores if one.resolution == self.resolution)

    @property
    def is_base(self) -> bool:
        """Whether it is the base itself."""
        return self.trial is None and self.baseline is None

    def is_better(self, other: "TrainedDetector") -> bool:
        """Whether its H is higher; if only one of them is upgraded, the mAP."""
        metric = self.compared_by(other)
        return self.value_of(metric) > other.value_of(metric)

    def compared_by(self, other: "TrainedDetector") -> GainMetric:
        """The metric that decides between two detectors.

        An upgrade buys mAP with computation, for which H would punish it; it costs each detector
        that has it about as much, so H decides between these.
        """
        differ = self.result.is_upgraded != other.result.is_upgraded
        return GainMetric.MAP if differ else GainMetric.H

    def value_of(self, metric: GainMetric) -> float:
        """Its H or its mAP, a fraction."""
        return self.map if metric is GainMetric.MAP else self.score


@dataclass(frozen=True, slots=True)
class Winner:
    """What is exported, and why.

    Attributes:
        detector: what is exported.
        reason: a sentence without a full stop.
        improved: it is better than the base on the validation images: by H, or by mAP if it is
            upgraded.
        gain: over the base, on the test images if there are any; None if it is not improved, or
            the errors are unknown.
        on_test: the same as measured on the test images; None if it was not scored there.
    """

    detector: TrainedDetector
    reason: str
    improved: bool = True
    gain: Gain | None = None
    on_test: TrainedDetector | None = None

    @property
    def claim(self) -> str:
        """What can be said of it and the base, a clause; empty if it is not improved."""
        if not self.improved:
            return ""
        if self.gain is None:
            metric = "mAP" if self.detector.result.is_upgraded else "H"
            where = measured_on(0, unseen=self.on_test is not None)
            return (
                f"the error of {metric} is unknown, because the results have no bootstrap (earlier "
                f"versions had none); it was measured on {where}"
            )
        return self.gain.claim

    @property
    def explanation(self) -> str:
        """Why it is exported, and what can be said of it and the base."""
        return "; ".join(filter(None, (self.reason, self.claim)))


def trained_detector(
    scorer: Scorer,
    trial: int | None,
    result: DetectorResult,
    teacher: Teacher | None,
    *,
    tuned: bool = False,
) -> TrainedDetector:
    """Return a trained detector with its score against the base.

    Args:
        scorer: scores it against the base.
        trial: its trial's number; None for the base.
        result: it has an architecture and scores.
        teacher: its teacher, or the subnet that it is; None for the base.
        tuned: it was fine-tuned after its trial.
    """
    shape, first = result.shape or scorer.shape(teacher), result.scores[0]
    found = TrainedDetector(trial, result, teacher, shape, 0, first.resolution, first.map, tuned)
    return scored_detector(scorer, found)


def scored_detector(scorer: Scorer, found: TrainedDetector) -> TrainedDetector:
    """Return a detector with the score that follows from its result.

    Args:
        scorer: scores it against the base.
        found: its score, resolution and mAP are replaced.
    """
    result = found.result
    assert result.architecture is not None
    top = scorer.score(result.architecture, result.scores, found.teacher, result.shape).best
    return replace(found, score=top.h, resolution=top.resolution, map=top.map)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A student that was to be fine-tuned.

    Attributes:
        student: as its trial left it.
        finetuned: the same, fine-tuned; None if not requested or failed.
        failure: why the fine-tuning failed; empty if it did not.
    """

    student: TrainedDetector
    finetuned: TrainedDetector | None = None
    failure: str = ""


def choose_candidates(
    best: LedgerEntry, front: Iterable[LedgerEntry], number: int
) -> tuple[LedgerEntry, ...]:
    """Return the trials whose students are fine-tuned: the best, then those of the front by H.

    If trials are selected by estimates, it is the estimated H.

    Args:
        best: the trial of highest H.
        front: trials on the Pareto front of mAP over FLOPs.
        number: how many there are at most.
    """
    others = [entry for entry in front if entry.weights and entry.index != best.index]
    by_score = sorted(others, key=lambda entry: (-(entry.selected_h or 0.0), entry.index))
    return (best, *by_score[: number - 1])


def choose_winner(
    candidates: Sequence[Candidate], earlier: Sequence[TrainedDetector] = ()
) -> Winner:
    """Return the best of the fine-tuned students, unless it was better before, or another was.

    Args:
        candidates: the best trial's student first.
        earlier: fine-tuned students of other trials, from when the search had fewer trials.
    """
    best = candidates[0].student
    ended = [_of_trial(one, is_best=one is candidates[0]) for one in candidates]
    winner = ended[0]
    for other in ended[1:]:
        if other.detector.is_better(winner.detector):
            winner = other
    if len(candidates) > 1:
        compared = _compared(candidates, [one.detector for one in ended], winner.detector)
        winner = replace(winner, reason=f"{winner.reason}; {compared}")
    rival = max(earlier, key=lambda student: student.score, default=winner.detector)
    if not rival.is_better(winner.detector):
        return winner
    found = f"trial {rival.trial}, fine-tuned before, has a better H ({rival.score:.4f})"
    return Winner(rival, f"{found} than trial {best.trial}: {winner.reason}")


def compare_with_base(
    student: Winner,
    base: TrainedDetector,
    has_export: Callable[[TrainedDetector], bool],
    images: int = 0,
) -> Winner:
    """Return the base as the winner unless the student is better, and how certain that is.

    Args:
        student: the best of the students.
        base: of the search.
        has_export: whether a student's export has been requested: what an earlier version exported
            remains.
        images: for validation; 0 if unknown.
    """
    if student.detector.is_better(base):
        return replace(student, gain=gain_over(base, student.detector, images))
    found = f"no student is better than the base, whose H is {base.score:.4f}: {student.reason}"
    if not has_export(student.detector):
        return Winner(base, found, improved=False)
    kept = f"{found}; it stays exported, as an earlier version of detnas chose it"
    return Winner(student.detector, kept, improved=False)


def gain_over(
    base: TrainedDetector, student: TrainedDetector, images: int, *, unseen: bool = False
) -> Gain | None:
    """The gain of a student over the base, both measured on the same images.

    Args:
        base: of the search.
        student: another detector.
        images: on which both are measured; 0 if unknown.
        unseen: they are the test images.
    """
    metric = student.compared_by(base)
    value, base_value = student.value_of(metric), base.value_of(metric)
    gain = paired_gain(student.measured, value, base.measured, base_value, metric)
    return gain and gain.model_copy(update={"images": images, "unseen": unseen})


def _compared(
    candidates: Sequence[Candidate], ended: Sequence[TrainedDetector], winner: TrainedDetector
) -> str:
    """The candidates and what each came to, for people."""
    metrics = {one.compared_by(winner) for one in ended}
    metric = GainMetric.MAP if GainMetric.MAP in metrics else GainMetric.H
    pairs = zip(candidates, ended, strict=True)
    found = ", ".join(f"trial {end.trial} {_end_text(one, end, metric)}" for one, end in pairs)
    return f"of {len(ended)} fine-tuned candidates it has the best {metric}: {found}"


def _end_text(candidate: Candidate, end: TrainedDetector, metric: GainMetric) -> str:
    value = f"{100 * end.map:.2f} %" if metric is GainMetric.MAP else f"{end.score:.4f}"
    if end is candidate.finetuned:
        return value
    why = "its fine-tuning failed" if candidate.failure else "before its fine-tuning"
    return f"{value} ({why})"


def _of_trial(candidate: Candidate, *, is_best: bool = False) -> Winner:
    best, finetuned, failure = candidate.student, candidate.finetuned, candidate.failure
    trial = f"trial {best.trial}"
    if finetuned is None:
        reason = f"fine-tuning failed ({failure})" if failure else "no fine-tuning was asked for"
        return Winner(best, f"{trial} {_standing(best, is_best=is_best)}; {reason}")
    if finetuned.result.is_upgraded:
        maps = f"{100 * best.map:.2f} % to {100 * finetuned.map:.2f} %"
        change = f"upgrade and fine-tuning took the mAP of {trial} from {maps}"
    else:
        change = f"fine-tuning took the H of {trial} from {best.score:.4f} to {finetuned.score:.4f}"
    if not best.is_better(finetuned):
        return Winner(finetuned, change)
    return Winner(best, f"{change}, so {trial} as it was is the best student")


def _standing(student: TrainedDetector, *, is_best: bool) -> str:
    """By which H a trial's student was selected."""
    h = f"H {student.score:.4f}"
    if student.estimate is not None:
        h = f"an estimated H of {student.estimate:.4f} ({student.score:.4f} measured)"
    return f"is the best of all trials, with {h}" if is_best else f"has {h}"
