"""One finished trial, as the search remembers it."""

from datetime import datetime
from functools import cached_property
from math import isfinite
from typing import Annotated

from pydantic import Field

from detnas.actions import AddedBlock
from detnas.architecture import Architecture
from detnas.errors import UserError
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Proposal
from detnas.records.results import MOST_ADDED, MOST_RESOLUTIONS, DetectorResult, Outcome
from detnas.schema import Count, Schema
from detnas.score import BaseFacts, Scored, best

LONGEST_MESSAGE = 4000
"""Characters: what every trial says is kept in memory, a result in the store only."""


_LONGEST_SECONDS = 10 * 365 * 86400.0


class LedgerEntry(Schema):
    """A proposal and what came of it; a pure function of proposal, result and base.

    Attributes:
        proposal: what was tried.
        message: for people, as the result has it, cut where it is very long.
        architecture: the student's backbone; none where the trial failed.
        added: blocks its lineage added of late.
        flops: C(S), of the student's detector at the base resolution.
        parameters: of the student's detector.
        scores: one per resolution; empty where the trial failed.
        weights: the student's weights, unless they were collected since.
        seconds: wall time of the job's attempts together, as far as the last of them knew.
        inherited: another search tried it, from which this one goes on.
    """

    proposal: Proposal
    outcome: Outcome
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)] = ""
    architecture: Architecture | None = None
    added: Annotated[tuple[AddedBlock, ...], Field(max_length=MOST_ADDED)] = ()
    flops: Count | None = None
    parameters: Count | None = None
    scores: Annotated[tuple[Scored, ...], Field(max_length=MOST_RESOLUTIONS)] = ()
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
    def best(self) -> Scored | None:
        """The resolution of highest score; none where the trial failed."""
        return best(self.scores) if self.scores else None

    @property
    def h(self) -> float | None:
        """The trial's score: H at its best resolution; none where it failed."""
        return self.best.h if self.best else None


def ledger_entry(proposal: Proposal, result: DetectorResult, base: BaseFacts) -> LedgerEntry:
    """Remember a finished trial.

    Raises:
        UserError: a result that claims success lacks its architecture, scores or weights.
    """
    entry = LedgerEntry(
        proposal=proposal,
        outcome=result.outcome,
        message=result.message[:LONGEST_MESSAGE],
        finished=result.finished,
        seconds=_seconds(result),
    )
    if result.outcome is not Outcome.SUCCEEDED:
        return entry
    return entry.model_copy(update=_student(proposal, result, base))


def is_whole(result: DetectorResult) -> bool:
    """Whether a result has all that its outcome says."""
    if result.outcome is not Outcome.SUCCEEDED:
        return True
    return result.architecture is not None and bool(result.scores) and "weights" in result.files


def _seconds(result: DetectorResult) -> float:
    """All attempts, by what they did; who says nothing of that tells at least of the last one."""
    last = (result.finished - result.started).total_seconds()
    told = sum(result.seconds.values())
    return min(max(0.0, last, told if isfinite(told) else 0.0), _LONGEST_SECONDS)


def _student(proposal: Proposal, result: DetectorResult, base: BaseFacts) -> dict[str, object]:
    architecture = result.architecture
    if architecture is None or not is_whole(result):
        raise UserError(
            f"result of trial {proposal.index}: it succeeded without architecture, scores or "
            "weights",
            "restore the object: results are never edited",
        )
    scored = base.score(architecture, result.scores)
    return {
        "architecture": architecture,
        "added": result.added,
        "flops": scored.flops,
        "parameters": scored.parameters,
        "scores": scored.scores,
        "weights": result.weights,
    }
