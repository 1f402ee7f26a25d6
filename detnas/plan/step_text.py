"""What a trial changed, in words."""

import re

from detnas.actions import Action, AddLayer, ChannelPruning, Rearrange
from detnas.records.proposal import Proposal, Step
from detnas.spec.teachers import Teachers
from detnas.teachers import Teacher

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


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


def spaced(name: str) -> str:
    """An API name in words: ``OutOfMemory`` is ``out of memory``."""
    return _CAPITAL.sub(" ", name).lower()


def teacher_text(teacher: Teacher) -> str:
    """Depths and width factors, such as ``depths 2-2-4-2, widths 1-1-1.25-1-1-1``."""
    return f"depths {teacher_depths(teacher)}, widths {teacher_widths(teacher)}"


def teacher_depths(teacher: Teacher) -> str:
    """Blocks in each stage."""
    return "-".join(map(str, teacher.depths))


def teacher_widths(teacher: Teacher) -> str:
    """Width factors of stem, stages and neck."""
    return "-".join(f"{width.normalize():f}" for width in teacher.widths)
