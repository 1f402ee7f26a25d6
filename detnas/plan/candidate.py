"""Candidates for the export, and the choice of the winner."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detnas.records.results import DetectorResult
from detnas.records.settings import Resolution
from detnas.score import BaseFacts
from detnas.teachers import Teacher


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained student under its teacher, or the base.

    Attributes:
        trial: its trial's number; None for the base.
        result: its encoding, weights and scores.
        teacher: its teacher; None for the base.
        score: H, the maximum over the resolutions (paper, 3.1.4).
        resolution: where that maximum is.
        map: mAP there, a fraction.
    """

    trial: int | None
    result: DetectorResult
    teacher: Teacher | None
    score: float
    resolution: Resolution
    map: float

    @property
    def is_base(self) -> bool:
        """Whether it is the base itself."""
        return self.trial is None


@dataclass(frozen=True, slots=True)
class Winner:
    """What is exported, and why.

    Attributes:
        candidate: what is exported.
        reason: a sentence without a full stop.
        improved: it has a better H than the base.
    """

    candidate: Candidate
    reason: str
    improved: bool = True


def candidate_from_result(
    facts: BaseFacts, trial: int | None, result: DetectorResult, teacher: Teacher | None
) -> Candidate:
    """Return a trained detector with its score against the base.

    Args:
        facts: of the base.
        trial: its trial's number; None for the base.
        result: it has an architecture and scores.
        teacher: its teacher; None for the base.
    """
    assert result.architecture is not None
    top = facts.score(result.architecture, result.scores).best
    return Candidate(trial, result, teacher, top.h, top.resolution, top.map)


def choose_winner(
    best: Candidate,
    finetuned: Candidate | None,
    failure: str = "",
    earlier: Sequence[Candidate] = (),
) -> Winner:
    """Return the fine-tuned student unless its score is worse than another's.

    Args:
        best: of the trials.
        finetuned: the same student fine-tuned; None if not requested or failed.
        failure: why the fine-tuning failed; empty if it did not.
        earlier: fine-tuned students of other trials, from when the search had fewer trials.
    """
    winner = _of_best_trial(best, finetuned, failure)
    rival = max(earlier, key=lambda candidate: candidate.score, default=winner.candidate)
    if rival.score <= winner.candidate.score:
        return winner
    found = f"trial {rival.trial}, fine-tuned before, has a better H ({rival.score:.4f})"
    return Winner(rival, f"{found} than trial {best.trial}: {winner.reason}")


def compare_with_base(
    student: Winner, base: Candidate, has_export: Callable[[Candidate], bool]
) -> Winner:
    """Return the base as the winner unless the student is better.

    Args:
        student: the best of the students.
        base: of the search.
        has_export: whether a student's export has been requested: what an earlier version exported
            remains.
    """
    if student.candidate.score > base.score:
        return student
    found = f"no student is better than the base, whose H is {base.score:.4f}: {student.reason}"
    if not has_export(student.candidate):
        return Winner(base, found, improved=False)
    kept = f"{found}; it stays exported, as an earlier version of detnas chose it"
    return Winner(student.candidate, kept, improved=False)


def _of_best_trial(best: Candidate, finetuned: Candidate | None, failure: str) -> Winner:
    trial = f"trial {best.trial}"
    if finetuned is None:
        reason = f"fine-tuning failed ({failure})" if failure else "no fine-tuning was asked for"
        return Winner(best, f"{trial} has the best H of all trials ({best.score:.4f}); {reason}")
    change = f"fine-tuning took the H of {trial} from {best.score:.4f} to {finetuned.score:.4f}"
    if finetuned.score >= best.score:
        return Winner(finetuned, change)
    return Winner(best, f"{change}, so {trial} as it was is the best student")
