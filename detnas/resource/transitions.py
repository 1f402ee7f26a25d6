"""Which fields of a search may change while it exists: the others are refused by name.

A transition rule at a field is not evaluated when an optional field is added or removed, so every
rule belongs to `spec` and checks on both sides whether the field is present.
"""

from pydantic import BaseModel

from detnas.resource.rule import Rule
from detnas.spec.jobs import Jobs
from detnas.spec.manifest import SearchSpec
from detnas.spec.search import Search
from detnas.spec.storage import Storage


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


MUTABLE: dict[str, frozenset[str] | None] = {
    "suspend": None,
    "limits": None,
    "deadlines": None,
    "objectives": None,
    "baselines": None,
    "modelCard": None,
    "retention": None,
    "export": None,
    "search": frozenset({"trials", "parallelism", "patience"}),
    "storage": frozenset({"onDelete"}),
    "jobs": frozenset(_names(Jobs)) - {"image"},  # what runs the code decides results
}
"""Fields of `spec` that may change: entirely, or only some of their own fields."""

APPLIED_AGAIN = "in a new search (delete this one and apply it again)"
"""How a fixed field is corrected, for messages about searches that have no trials."""

IN_A_NEW_SEARCH = (
    "in a new search (delete this one and apply it again, or keep its trials: another name, and "
    "spec.warmStart.from)"
)
"""How a fixed field is corrected, for messages about any search."""

FOR_NEW_JOBS = "this applies to Jobs created later"
"""The message about fields of `spec.jobs`, which may change."""

MADE_ANEW = "then delete the Job; it will be recreated"
"""How a waiting Job gets what has changed since it was created."""

_SECTIONS: dict[str, type[BaseModel]] = {"search": Search, "storage": Storage, "jobs": Jobs}


def transition_rules() -> tuple[Rule, ...]:
    """A rule for each field of the spec that is fixed once the search exists."""
    return tuple(_fixed(path) for path in fixed_paths())


def fixed_paths() -> tuple[tuple[str, ...], ...]:
    """Paths below `spec` that never change."""
    paths: list[tuple[str, ...]] = []
    for name in _names(SearchSpec):
        if name not in MUTABLE:
            paths.append((name,))
        elif MUTABLE[name] is not None:
            mutable = MUTABLE[name] or frozenset()
            paths += [(name, inner) for inner in _names(_SECTIONS[name]) if inner not in mutable]
    return tuple(paths)


def _fixed(path: tuple[str, ...]) -> Rule:
    dotted = ".".join(path)
    new, old = (_present(root, path) for root in ("self", "oldSelf"))
    return Rule(
        f"{new} == {old} && (!{new} || self.{dotted} == oldSelf.{dotted})",
        f"spec.{dotted} is fixed once the search exists; put it back, or change it "
        f"{IN_A_NEW_SEARCH}",
        f".{dotted}",
    )


def _present(root: str, path: tuple[str, ...]) -> str:
    """Whether a field and all sections that contain it are present."""
    ends = range(1, len(path) + 1)
    return f"({' && '.join('has(' + '.'.join((root, *path[:end])) + ')' for end in ends)})"
