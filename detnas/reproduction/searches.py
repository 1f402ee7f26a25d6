"""The searches of a folder, in the order in which they run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from detnas.errors import UserError
from detnas.reproduction.figures import SearchFigures
from detnas.reproduction.tables import PaperTable
from detnas.spec.loading import load_manifest
from detnas.spec.manifest import DetNASSearch

LIKE_WINNER_OF = "detnas.dev/like-winner-of"
"""Annotation: names the search whose student sets the FLOPs and the size of this one's end."""
BASE_OF = "detnas.dev/base-of"
"""Annotation: names the search whose base, as trained there, is this one's too."""

_DIGITS = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class FolderSearch:
    """One search of the folder.

    Attributes:
        path: of its manifest.
        manifest: as written.
    """

    path: Path
    manifest: DetNASSearch

    @property
    def name(self) -> str:
        """Name of the search."""
        return self.manifest.metadata.name

    @property
    def like_winner_of(self) -> str | None:
        """Name of the search whose student this one's end is made comparable with."""
        return self.manifest.metadata.annotations.get(LIKE_WINNER_OF)

    @property
    def base_of(self) -> str | None:
        """Name of the search whose base is taken."""
        return self.manifest.metadata.annotations.get(BASE_OF)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the searches that must have run before."""
        return tuple(filter(None, (self.like_winner_of, self.base_of)))


def load_searches(folder: Path) -> tuple[FolderSearch, ...]:
    """Read every manifest of a folder; searches that depend on another one's student come last.

    Raises:
        ManifestError: a file is no manifest.
        UserError: there is none, two have one name, or one depends on a search that is not there.
    """
    found = [FolderSearch(path, load_manifest(path)) for path in sorted(folder.glob("*.yaml"))]
    if not found:
        raise UserError(f"{folder} has no manifest", "give a folder of files such as search.yaml")
    by_name = {search.name: search for search in found}
    if len(by_name) < len(found):
        twice = next(s for s in found if by_name[s.name] is not s)
        others = f"{twice.path} and {by_name[twice.name].path}"
        raise UserError(f"{others} have the same name, {twice.name}", "rename one of the searches")
    return tuple(_ordered(by_name))


def _ordered(by_name: Mapping[str, FolderSearch]) -> Iterator[FolderSearch]:
    for search in by_name.values():
        for annotation in (LIKE_WINNER_OF, BASE_OF):
            other = search.manifest.metadata.annotations.get(annotation)
            if other is not None and other not in by_name:
                raise UserError(
                    f"{search.path}: {annotation} names {other}",
                    f"name a search of the folder: {_listed(set(by_name))}",
                )
    needed = {name: search.needed for name, search in by_name.items()}
    try:
        yield from (by_name[name] for name in TopologicalSorter(needed).static_order())
    except CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        problem = f"the searches wait for each other: {circle}"
        raise UserError(problem, f"remove one of the annotations {LIKE_WINNER_OF}") from error


def check_rows(tables: Sequence[PaperTable], searches: Sequence[FolderSearch]) -> None:
    """Check that every row's search is there.

    Raises:
        UserError: one is not.
    """
    names = {search.name for search in searches}
    for table in tables:
        for row in table.rows:
            if row.search is not None and row.search not in names:
                problem = f"{table.number}: {row.name} is repeated by the search {row.search}"
                raise UserError(problem, f"name one of the folder: {_listed(names)}")


def end_like(winner: SearchFigures) -> Mapping[str, str]:
    """Return fields of `finetune` that give another search's end the FLOPs and size of a student.

    Args:
        winner: of a search that has ended.

    Raises:
        UserError: it has no student.
    """
    student = winner.student
    fields = {"resolution": str(student.resolution)}
    share = Decimal(student.relative_flops).quantize(_DIGITS, ROUND_CEILING)
    if share < 1:
        fields["flopsFraction"] = format(share, "f")
    return fields


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
