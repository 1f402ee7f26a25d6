"""What the search decided to try: the record from which a trial's job is made."""

from enum import StrEnum

from detnas.actions import Action
from detnas.schema import Count, Schema
from detnas.teachers import Teacher


class Step(StrEnum):
    """What a trial changes (paper, algorithm 1)."""

    BASELINE = "Baseline"
    STUDENT = "Student"
    TEACHER = "Teacher"


class Proposal(Schema):
    """One trial, decided.

    Attributes:
        index: the trial's number, from 0.
        parent: index of the trial whose student it takes; none takes the base.
        step: ``Baseline`` is {base, supernet}; ``Student`` takes an action; ``Teacher`` mutates the
            teacher and trains the parent's student further.
        action: of a student step.
        teacher: of the trial; of the strategy Pipeline the one for the end, as trials have none.
        seed: of the trial's job, from the search's seed and the index.
    """

    index: Count
    parent: Count | None = None
    step: Step
    action: Action | None = None
    teacher: Teacher
    seed: Count
