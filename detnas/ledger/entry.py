"""One finished trial, as the search remembers it, and the trials it descends from."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from math import isfinite
from typing import Annotated

from pydantic import Field

from detnas.actions import AddedBlock
from detnas.architecture import Architecture
from detnas.errors import UserError
from detnas.ledger.estimates import with_estimates
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Proposal, Step
from detnas.records.results import MAX_ADDED_BLOCKS, MAX_RESOLUTIONS, DetectorResult, Outcome
from detnas.schema import Count, Schema
from detnas.score import ResolutionScore, Scorer, best

MAX_MESSAGE_CHARACTERS = 4000
"""Characters: an entry may be kept in memory, the complete message is in the trial's result."""

_MAX_SECONDS = 10 * 365 * 86400.0


class LedgerEntry(Schema):
    """A proposal and its outcome; a pure function of proposal, result and base.

    Attributes:
        message: that of the result, cut if it is very long.
        architecture: the student's backbone; None if the trial failed.
        added: blocks that the last steps of its lineage added.
        flops: C(S), of the student's detector at the base resolution.
        parameters: of the student's detector.
        scores: one per resolution; empty if the trial failed.
        weights: the student's weights, unless they were collected since; a subnet has none.
        seconds: wall time of all the job's attempts that the last of them knew of.
        inherited: the trial is another search's, with which this one began.
    """

    proposal: Proposal
    outcome: Outcome
    message: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS)] = ""
    architecture: Architecture | None = None
    added: Annotated[tuple[AddedBlock, ...], Field(max_length=MAX_ADDED_BLOCKS)] = ()
    flops: Count | None = None
    parameters: Count | None = None
    scores: Annotated[tuple[ResolutionScore, ...], Field(max_length=MAX_RESOLUTIONS)] = ()
    weights: Artifact | None = None
    finished: datetime
    seconds: float
    inherited: bool = False

    @property
    def index(self) -> int:
        """Number of the trial."""
        return self.proposal.index

    @property
    def succeeded(self) -> bool:
        """Whether there is a student with a score."""
        return self.outcome is Outcome.SUCCEEDED

    @cached_property
    def best(self) -> ResolutionScore | None:
        """The resolution of highest score; None if the trial failed."""
        return best(self.scores) if self.scores else None

    @property
    def h(self) -> float | None:
        """The trial's score: H at its best resolution; None if it failed."""
        return self.best.h if self.best else None

    @property
    def estimated_h(self) -> float | None:
        """H of the estimates of mAP; None without any."""
        has_estimate = any(score.estimate is not None for score in self.scores)
        return self.selected_h if has_estimate else None

    @cached_property
    def selected_h(self) -> float | None:
        """The score by which trials are selected: H, or that of the estimates if there are any."""
        return max((score.estimated_h for score in self.scores), default=None)


def ledger_entry(proposal: Proposal, result: DetectorResult, base: Scorer) -> LedgerEntry:
    """Make the entry of a finished trial.

    Raises:
        UserError: a result that claims success lacks its architecture, scores or weights.
    """
    entry = LedgerEntry(
        proposal=proposal,
        outcome=result.outcome,
        message=result.message[:MAX_MESSAGE_CHARACTERS],
        finished=result.finished,
        seconds=_seconds(result),
    )
    if result.outcome is not Outcome.SUCCEEDED:
        return entry
    return entry.model_copy(update=_student(proposal, result, base))


def is_complete(result: DetectorResult, *, trained: bool = True) -> bool:
    """Whether a result has everything that its outcome claims; weights only if one trained."""
    if result.outcome is not Outcome.SUCCEEDED:
        return True
    has_weights = "weights" in result.files or not trained
    return result.architecture is not None and bool(result.scores) and has_weights


def lineage(entries: Mapping[int, LedgerEntry], index: int) -> tuple[LedgerEntry, ...]:
    """The chain of trials from the base to a trial, oldest first and the trial itself last.

    Args:
        entries: finished trials by number; those of the chain at least.
        index: number of the trial.

    Raises:
        UserError: a trial of the chain is not among the entries.
    """
    chain: list[LedgerEntry] = []
    at: int | None = index
    while at is not None:
        if at not in entries:
            raise UserError(f"trial {at} has no result", f"finished trials: 0 to {max(entries)}")
        chain.append(entries[at])
        at = entries[at].proposal.parent
    return tuple(reversed(chain))


def _seconds(result: DetectorResult) -> float:
    """Of all attempts by their activities, and at least of the last attempt."""
    last = (result.finished - result.started).total_seconds()
    stated = sum(result.seconds.values())
    return min(max(0.0, last, stated if isfinite(stated) else 0.0), _MAX_SECONDS)


def _student(proposal: Proposal, result: DetectorResult, base: Scorer) -> dict[str, object]:
    architecture, trained = result.architecture, proposal.step is not Step.SUBNET
    if architecture is None or not is_complete(result, trained=trained):
        raise UserError(
            f"result of trial {proposal.index}: it succeeded without architecture, scores or "
            "weights",
            "restore the object: results are never edited",
        )
    scored = base.score(architecture, result.scores, proposal.teacher)
    scores = scored.scores
    if proposal.prior is not None:
        scores = with_estimates(scores, proposal.prior, result.scores, base.scores)
    return {
        "architecture": architecture,
        "added": result.added,
        "flops": scored.flops,
        "parameters": scored.parameters,
        "scores": scores,
        "weights": result.weights if trained else None,
    }
