"""What the search decided to try: the record from which a trial's job is made."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from detnas.actions import Action
from detnas.records.results import MAX_RESOLUTIONS, Metric, MetricError
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema, added
from detnas.teachers import Teacher


class Step(StrEnum):
    """What a trial changes (paper, algorithm 1); ``Subnet`` evaluates one as it is (appendix F)."""

    BASELINE = "Baseline"
    STUDENT = "Student"
    TEACHER = "Teacher"
    SUBNET = "Subnet"


class ExpectedScore(Schema):
    """What a detector's mAP at a resolution is estimated to be, and the estimate's error."""

    resolution: Resolution
    map: Metric
    error: MetricError


class Prior(Schema):
    """What was known of a trial's mAP when it was decided (`search.selection: Shrunk`).

    Attributes:
        parent: estimates of the parent's mAP, or of the base's, one per resolution; those without
            an error are left out.
        spread: standard deviation of the change of mAP that a step of this kind makes.
    """

    parent: Annotated[tuple[ExpectedScore, ...], Field(max_length=MAX_RESOLUTIONS)] = ()
    spread: MetricError


class Proposal(Schema):
    """One trial, decided.

    Attributes:
        index: the trial's number, from 0.
        parent: index of the trial whose student it takes; none takes the base.
        step: ``Baseline`` is {base, supernet}; ``Student`` takes an action; ``Teacher`` mutates the
            teacher and trains the parent's student further; ``Subnet`` evaluates the teacher as it
            is.
        action: of a student step.
        teacher: of the trial; of the strategy Pipeline the one for the end, as trials have none.
        seed: of the trial's job, from the search's seed and the index.
        job: first trial of the job that evaluates this one and others; None if it has its own.
        prior: from which the trial's mAP is estimated; None if it is taken as it is measured.
    """

    index: Count
    parent: Count | None = None
    step: Step
    action: Action | None = None
    teacher: Teacher
    seed: Count
    job: Count | None = added(1)
    prior: Prior | None = added(1)

    @property
    def job_number(self) -> int:
        """Number of its job: that of the first trial in it."""
        return self.index if self.job is None else self.job
