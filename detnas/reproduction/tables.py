"""The paper's tables and figures as data: their numbers, and the searches that repeat them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from detnas.errors import UserError
from detnas.records.settings import Resolution
from detnas.reproduction.figures import Role, SearchFigures
from detnas.schema import Flag, Fraction, Schema
from detnas.spec.explain import ManifestError, explain
from detnas.spec.loading import load_document
from detnas.spec.manifest import Label

TABLES = "tables"
"""Folder, beside the manifests, of the files that describe tables."""


class Column(StrEnum):
    """What a table compares.

    AP is mAP in per cent; FLOPs are counted at the row's resolution; FPS is that of the detector's
    exported file at batch 1, by `detnas bench`; GPU-days are of the search.
    """

    AP = "ap"
    GFLOPS = "gflops"
    BACKBONE_GFLOPS = "backboneGflops"
    PARAMETERS = "millionParameters"
    FPS = "fps"
    GPU_DAYS = "gpuDays"


class TableRow(Schema):
    """One row.

    Attributes:
        name: as the paper has it.
        paper: its numbers.
        search: name of the search that repeats it; None for what is only quoted.
        detector: of the search.
        resolution: at which it is measured; by default that of its best score.
    """

    name: str
    paper: Mapping[Column, Fraction] = {}
    search: Label | None = None
    detector: Role = Role.FINETUNED
    resolution: Resolution | None = None

    def measure(self, figures: SearchFigures) -> "Measured | None":
        """What it asks for, of a search; None if that has no such detector, or not at this size."""
        detector = figures.detectors.get(self.detector)
        here = detector.at(self.resolution) if detector is not None else None
        if detector is None or here is None:
            return None
        values: dict[Column, float] = {
            Column.AP: 100 * here.map,
            Column.GFLOPS: here.flops / 1e9,
            Column.BACKBONE_GFLOPS: here.backbone_flops / 1e9,
            Column.PARAMETERS: detector.parameters / 1e6,
            Column.GPU_DAYS: figures.cost.total_gpu_days,
        }
        if here.fps is not None:
            values[Column.FPS] = here.fps
        return Measured(values, here.resolution, here.h, figures)


@dataclass(frozen=True, slots=True)
class Measured:
    """A row's detector, as a search found it.

    Attributes:
        values: by column.
        resolution: at which it was measured.
        h: its score there.
        figures: of the search.
    """

    values: Mapping[Column, float]
    resolution: Resolution
    h: float
    figures: SearchFigures


class PaperTable(Schema):
    """One table or figure.

    Attributes:
        number: such as ``table 5``.
        title: what it compares.
        note: a remark for readers.
        curve: it shows the best H so far after each trial, as a figure does.
    """

    number: str
    title: str
    note: str = ""
    curve: Flag = False
    rows: Annotated[tuple[TableRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_numbered(self) -> "PaperTable":
        if not re.fullmatch("(table|figure) [0-9]{1,3}", self.number):
            raise ValueError(
                f"number: {self.number!r} is wrong; write table or figure, and its number"
            )
        return self

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those for which the paper has a number; AP always."""
        given = {Column.AP, *(column for row in self.rows for column in row.paper)}
        return tuple(column for column in Column if column in given)


def load_tables(folder: Path) -> tuple[PaperTable, ...]:
    """Read the tables of a folder of manifests, by kind and number.

    Raises:
        ManifestError: a file is no table; every problem is named.
        UserError: two files describe the same one.
    """
    tables = [_load_table(path) for path in sorted((folder / TABLES).glob("*.yaml"))]
    ordered = sorted(tables, key=_place)
    for one, other in pairwise(ordered):
        if one.number == other.number:
            problem = f"{folder / TABLES}: two files describe {one.number}"
            raise UserError(problem, "keep one of them")
    return tuple(ordered)


def _place(table: PaperTable) -> tuple[bool, int]:
    kind, number = table.number.split()
    return kind == "figure", int(number)


def _load_table(path: Path) -> PaperTable:
    try:
        return PaperTable.model_validate(load_document(path, "table"))
    except ValidationError as error:
        raise ManifestError(str(path), explain(error, PaperTable), "table") from error
