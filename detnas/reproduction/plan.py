"""A plan: which searches of a folder run with how many seeds, and which detectors are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from detnas.errors import UserError
from detnas.reproduction.figures import Role
from detnas.reproduction.searches import FolderSearch
from detnas.schema import Positive, Schema
from detnas.spec.explain import ManifestError, explain
from detnas.spec.loading import load_document
from detnas.spec.manifest import Label


class Round(Schema):
    """Searches that run before those of the next round.

    Attributes:
        searches: their names; each seed runs all of them before the next seed.
        seeds: how many: 0, 1 and so on.
    """

    searches: Annotated[tuple[Label, ...], Field(min_length=1)]
    seeds: Positive


class Arm(Schema):
    """A detector that is compared, once for each seed.

    Attributes:
        name: for people.
        search: that finds it.
        detector: of that search.
    """

    name: str
    search: Label
    detector: Role = Role.EXPORTED


class ReproductionPlan(Schema):
    """What `detnas reproduce` runs with several seeds.

    Attributes:
        searches: folder of manifests, with a folder ``tables`` if the paper's are asked for,
            relative to the plan's file.
        results: folder of the figures that are kept, likewise; what is there does not run again.
        rounds: in the order in which they run.
        arms: what is compared; the others with the first, seed by seed.
    """

    searches: str
    results: str
    rounds: Annotated[tuple[Round, ...], Field(min_length=1)]
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]

    def runs(self, searches: Sequence[FolderSearch]) -> Iterator[tuple[FolderSearch, int]]:
        """Yield searches with their seeds, each pair once, in the order in which they run.

        Args:
            searches: of the folder, in the order in which they depend on each other.
        """
        seen: set[tuple[str, int]] = set()
        for one in self.rounds:
            for seed in range(one.seeds):
                for search in searches:
                    if search.name in one.searches and (search.name, seed) not in seen:
                        seen.add((search.name, seed))
                        yield search, seed


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan, and its folders.

    Attributes:
        plan: as written.
        searches: folder of the manifests.
        results: folder of the kept figures.
    """

    plan: ReproductionPlan
    searches: Path
    results: Path


def load_plan(path: Path) -> LoadedPlan:
    """Read a plan.

    Raises:
        ManifestError: it is none; every problem is named.
    """
    try:
        plan = ReproductionPlan.model_validate(load_document(path, "plan"))
    except ValidationError as error:
        raise ManifestError(str(path), explain(error, ReproductionPlan), "plan") from error
    return LoadedPlan(plan, path.parent / plan.searches, path.parent / plan.results)


def check_plan(path: Path, plan: ReproductionPlan, searches: Sequence[FolderSearch]) -> None:
    """Check that a plan's searches are there, and that its arms' and what they need run.

    Raises:
        UserError: one is not, or does not.
    """
    by_name = {search.name: search for search in searches}
    for at, one in enumerate(plan.rounds):
        for name in one.searches:
            if name not in by_name:
                raise UserError(
                    f"{path}: rounds[{at}].searches names {name}",
                    f"name one of the folder: {', '.join(sorted(by_name))}",
                )
    planned = {name for one in plan.rounds for name in one.searches}
    for arm in plan.arms:
        if arm.search not in planned:
            raise UserError(
                f"{path}: the arm {arm.name} is of {arm.search}, which no round runs",
                f"name one of these: {', '.join(sorted(planned))}",
            )
    seeds = {
        name: max(one.seeds for one in plan.rounds if name in one.searches) for name in planned
    }
    for name in planned:
        for other in by_name[name].needed:
            if seeds.get(other, 0) < seeds[name]:
                raise UserError(
                    f"{path}: {name} runs with {seeds[name]} seeds and needs {other}, which runs "
                    f"with {seeds.get(other, 0)}",
                    "give that one as many, in the same round or an earlier one",
                )
