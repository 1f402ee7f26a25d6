"""Texts of the page: actions, teachers and numbers, for people."""

import re

from detnas.actions import Action, AddLayer, ChannelPruning, Rearrange
from detnas.records.proposal import Proposal, Step
from detnas.spec.teachers import Teachers
from detnas.teachers import Teacher

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def step_kind(proposal: Proposal) -> str:
    """Kind of a trial's step: ``baseline``, ``teacher``, or the action's name in words."""
    if proposal.action is None:
        return str(proposal.step).lower()
    return spaced(proposal.action.kind)


def spaced(name: str) -> str:
    """An API name in words: ``OutOfMemory`` is ``out of memory``."""
    return _CAPITAL.sub(" ", name).lower()


def step_text(proposal: Proposal, teachers: Teachers) -> str:
    """What a trial changed, and where.

    Args:
        proposal: the trial.
        teachers: of the search: only if they are searched does a teacher step change the teacher.
    """
    if proposal.action is not None:
        return _action_text(proposal.action)
    if proposal.step is Step.SUBNET:
        return f"subnet of the pool, {teacher_text(proposal.teacher)}"
    return {
        Step.BASELINE: "baseline",
        Step.TEACHER: "another teacher" if teachers.are_searched else "trained further",
        Step.STUDENT: "another student",
    }[proposal.step]


def _action_text(action: Action) -> str:
    name = spaced(action.kind)
    match action:
        case ChannelPruning():
            return f"{name}, {(100 * action.fraction).normalize():f} %"
        case AddLayer():
            return f"{name} to stage {action.stage + 1}"
        case Rearrange():
            return f"{name}, stage {action.source + 1} to {action.target + 1}"
        case _:
            return name


def teacher_text(teacher: Teacher) -> str:
    """Depths and width factors, such as ``depths 2-2-4-2, widths 1-1-1.25-1-1-1``."""
    return f"depths {teacher_depths(teacher)}, widths {teacher_widths(teacher)}"


def teacher_depths(teacher: Teacher) -> str:
    """Blocks in each stage."""
    return "-".join(map(str, teacher.depths))


def teacher_widths(teacher: Teacher) -> str:
    """Width factors of stem, stages and neck."""
    return "-".join(f"{width.normalize():f}" for width in teacher.widths)


def percent(fraction: float) -> str:
    """A fraction as ``61.23 %``."""
    return f"{100 * fraction:.2f} %"


def giga(flops: float) -> str:
    """FLOPs in units of 10⁹ with three significant digits or more: ``160.5``, ``0.482``."""
    return _scaled(flops / 1e9)


def mega(count: float) -> str:
    """A count in units of 10⁶."""
    return _scaled(count / 1e6)


def _scaled(value: float) -> str:
    digits = 1 if value >= 100 else 2 if value >= 10 else 3
    return f"{value:.{digits}f}"


def change(value: float, base: float) -> str:
    """By how much a value differs from the base's, as ``−41 %``; empty if it does not."""
    if not base or value == base:
        return ""
    difference = value / base - 1
    return signed(100 * difference, 0 if abs(difference) >= 0.1 else 1) + " %"


def with_error(value: str, error: float | None, digits: int = 4) -> str:
    """A value with its standard error, if that is known: ``0.6512 ± 0.0123``."""
    return value if error is None else f"{value} ± {error:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """A number with its sign; the minus is not a hyphen."""
    return f"{value:+.{digits}f}".replace("-", "−")
