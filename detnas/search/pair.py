"""A student and its teacher, and every step from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random

from detnas.actions import Action, ActionKind, ActionOptions, AddedBlock, legal_actions
from detnas.architecture import Architecture
from detnas.records.proposal import Step
from detnas.teachers import Teacher, TeacherSpace


@dataclass(frozen=True, slots=True)
class Move:
    """A step from a pair, before it is numbered.

    Attributes:
        parent: trial whose student it starts from; None for the base.
    """

    parent: int | None
    step: Step
    teacher: Teacher
    action: Action | None = None


@dataclass(frozen=True)
class Pair:
    """A student-teacher pair that a trial may start from.

    Attributes:
        index: of the trial that trained the student; None is {base, supernet}.
        added: blocks that the last steps of the student's lineage added.
        space: the teachers of the pool.
        options: how the pruning actions work.
    """

    index: int | None
    architecture: Architecture
    added: tuple[AddedBlock, ...]
    teacher: Teacher
    space: TeacherSpace
    options: ActionOptions

    def mutate_teacher(self, random: Random) -> Move:
        """One slot of the teacher, uniformly, to another value, uniformly.

        In a space of a single teacher the step trains the student further under it.
        """
        slots = self._mutations
        return self._under(random.choice(random.choice(slots)) if slots else self.teacher)

    def evolve_student(self, random: Random) -> Move:
        """An action of a kind that is legal, uniformly, at one of its places, uniformly."""
        kind = random.choice(list(self._actions))
        return self._after(random.choice(self._actions[kind]))

    def teacher_steps(self) -> Iterator[Move]:
        """Every mutation of the teacher."""
        return (self._under(teacher) for slot in self._mutations for teacher in slot)

    def student_steps(self) -> Iterator[Move]:
        """Every legal action."""
        return (self._after(action) for places in self._actions.values() for action in places)

    @cached_property
    def _mutations(self) -> tuple[tuple[Teacher, ...], ...]:
        return self.space.mutations(self.teacher)

    @cached_property
    def _actions(self) -> dict[ActionKind, tuple[Action, ...]]:
        return legal_actions(self.architecture, self.added, self.options)

    def _under(self, teacher: Teacher) -> Move:
        return Move(self.index, Step.TEACHER, teacher)

    def _after(self, action: Action) -> Move:
        return Move(self.index, Step.STUDENT, self.teacher, action)
