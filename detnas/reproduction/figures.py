"""What a finished search found, as a record that outlives its weights."""

from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from detnas.errors import UserError
from detnas.lifecycle.search_cost import SearchCost
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema
from detnas.store.durable_files import replace_file
from detnas.store.errors import os_errors


class Role(StrEnum):
    """Which detector of a search is meant.

    The student of its best trial is ``Trial``, the same after fine-tuning ``Finetuned``, and what
    the search chose in the end ``Exported``; the last three are its baselines.
    """

    BASE = "Base"
    TRIAL = "Trial"
    FINETUNED = "Finetuned"
    EXPORTED = "Exported"
    CONTINUED_BASE = "ContinuedBase"
    ONE_SHOT_PRUNED = "OneShotPruned"
    SCALED = "Scaled"


class SizeFigures(Schema):
    """A detector at one resolution.

    Attributes:
        map: COCO mAP, a fraction.
        h: its score there.
        flops: of one image.
        backbone_flops: of these, the backbone's.
        fps: images a second of its exported file at batch 1; None if it was not measured.
    """

    resolution: Resolution
    map: float
    h: float
    flops: Count
    backbone_flops: Count
    fps: float | None = None


class DetectorFigures(Schema):
    """A detector.

    Attributes:
        encoding: of its backbone.
        parameters: of all of it.
        relative_flops: C / C_base, at the base resolution.
        resolution: where its H on the validation images is highest.
        validation: at every resolution at which it was scored.
        test: the same on the test images, that resolution first; empty without such images.
    """

    encoding: str
    parameters: Count
    relative_flops: float
    resolution: Resolution
    validation: tuple[SizeFigures, ...]
    test: tuple[SizeFigures, ...] = ()

    def at(self, resolution: Resolution | None) -> SizeFigures | None:
        """Its figures on the validation images; by default where its H is highest."""
        wanted = resolution or self.resolution
        return next((one for one in self.validation if one.resolution == wanted), None)


class FrontFigures(Schema):
    """A point of the front on the validation images: mAP, and FLOPs over the base's best size."""

    map: float
    relative_flops: float


class SearchFigures(Schema):
    """A finished search.

    Attributes:
        search: its name.
        seed: of it.
        spec_digest: of its specification without the seed, by which a changed one is noticed.
        version: of detnas that read it.
        detectors: those that it has.
        front: of its detectors and the base, by rising FLOPs.
        curve: best H so far after each finished trial, by number.
        student_iterations: training steps of all its trials and fine-tunings.
        cost: of it.
        uri: of its folder, which may be gone.
    """

    search: str
    seed: Count
    spec_digest: str
    version: str
    detectors: dict[Role, DetectorFigures]
    front: tuple[FrontFigures, ...] = ()
    curve: tuple[float, ...] = ()
    student_iterations: Count = 0
    cost: SearchCost = SearchCost()
    uri: str = ""

    @property
    def student(self) -> DetectorFigures:
        """The student to compare with: fine-tuned if it was.

        Raises:
            UserError: the search has none.
        """
        student = self.detectors.get(Role.FINETUNED) or self.detectors.get(Role.TRIAL)
        if student is None:
            raise UserError(f"{self.search} has no student", "see why its trials failed")
        return student


def load_figures(path: Path) -> SearchFigures | None:
    """Read a kept record; None if there is none.

    Raises:
        UserError: it cannot be read.
    """
    with os_errors(path):
        if not path.exists():
            return None
        content = path.read_bytes()
    try:
        return SearchFigures.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the file"
        raise UserError(
            f"{path} is no record of a search: {place}: {fault['msg']}",
            "restore it, or move it away and the search runs again",
        ) from error


def write_figures(path: Path, figures: SearchFigures) -> None:
    """Write a record, in place of an earlier one.

    Raises:
        UserError: it cannot be written.
    """
    text = figures.model_dump_json(by_alias=True, exclude_defaults=True, indent=1) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> Path:
    """Write a file at once, in place of an earlier one; return its path.

    Raises:
        UserError: it cannot be written.
    """
    with os_errors(path):
        replace_file(path, text.encode())
    return path
