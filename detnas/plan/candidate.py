"""A student that could be taken away, with what makes it comparable."""

from collections.abc import Sequence
from dataclasses import dataclass

from detnas.records.results import DetectorResult
from detnas.records.settings import Resolution
from detnas.search.base import BaseFacts
from detnas.search.score import best as best_score
from detnas.teachers import Teacher


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained student under its teacher.

    Attributes:
        trial: the trial it comes from.
        result: its encoding, weights and scores.
        teacher: who taught it.
        score: H, the maximum over the resolutions (paper, 3.1.4).
        resolution: where that maximum is.
        map: mAP there, a fraction.
    """

    trial: int
    result: DetectorResult
    teacher: Teacher
    score: float
    resolution: Resolution
    map: float


@dataclass(frozen=True, slots=True)
class Winner:
    """What is exported, and why."""

    candidate: Candidate
    reason: str


def scored(facts: BaseFacts, trial: int, result: DetectorResult, teacher: Teacher) -> Candidate:
    """Return a trained student with its score against the base.

    Args:
        facts: of the base.
        trial: the trial it comes from.
        result: it has an architecture and scores.
        teacher: who taught it.
    """
    assert result.architecture is not None
    top = best_score(facts.score(result.architecture, result.scores))
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
        finetuned: the same student trained on, where that was asked for and succeeded.
        failure: why it did not succeed.
        earlier: fine-tuned students of other trials, from when the search had fewer of them.
    """
    winner = _of_best_trial(best, finetuned, failure)
    rival = max(earlier, key=lambda candidate: candidate.score, default=winner.candidate)
    if rival.score <= winner.candidate.score:
        return winner
    found = f"trial {rival.trial}, fine-tuned before, has a better H ({rival.score:.4f})"
    return Winner(rival, f"{found} than trial {best.trial}: {winner.reason}")


def _of_best_trial(best: Candidate, finetuned: Candidate | None, failure: str) -> Winner:
    trial = f"trial {best.trial}"
    if finetuned is None:
        reason = f"fine-tuning failed ({failure})" if failure else "no fine-tuning was asked for"
        return Winner(best, f"{trial} has the best H ({best.score:.4f}); {reason}")
    change = f"fine-tuning took the H of {trial} from {best.score:.4f} to {finetuned.score:.4f}"
    if finetuned.score >= best.score:
        return Winner(finetuned, change)
    return Winner(best, f"{change}, so {trial} as it was is exported")
