"""The chart of a release: a copy of the sources' with its version, its home and its images."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.process import StepFailed
from tools.release.version import Version


@dataclass(frozen=True, slots=True)
class Released:
    """What the chart of a release says of it.

    Attributes:
        version: of the chart, and of the images.
        home: address of the sources; runbooks of alerts are searched below it.
        operator: repository of the operator's image.
        trainer: repository of the trainer's image.
    """

    version: Version
    home: str
    operator: str
    trainer: str


def stamp(chart: Path, target: Path, released: Released) -> Path:
    """Copy the chart into the folder `target`, stamped; the copy's folder.

    Raises:
        StepFailed: the chart is not written as this expects.
    """
    copy = target / chart.name
    shutil.copytree(chart, copy)
    _rewrite(copy / "Chart.yaml", _description(released))
    _rewrite(copy / "values.yaml", _images(released))
    return copy


Replacement = tuple[str, str]


def _description(released: Released) -> list[Replacement]:
    version = released.version.text
    return [
        (r"^version: .*$", f"version: {version}\nhome: {released.home}"),
        (r"^appVersion: .*$", f'appVersion: "{version}"'),
    ]


def _images(released: Released) -> list[Replacement]:
    """The first empty repository is the operator's, the second the trainer's."""
    empty = r'^( +)repository: ""$'
    return [(empty, rf"\g<1>repository: {name}") for name in (released.operator, released.trainer)]


def _rewrite(file: Path, replacements: list[Replacement]) -> None:
    """Replace the first line that matches each expression; comments stay."""
    text = file.read_text(encoding="utf-8")
    for expression, replacement in replacements:
        text, found = re.subn(expression, replacement, text, count=1, flags=re.MULTILINE)
        if not found:
            raise StepFailed(f"✗ {file.name} of the chart has no line like {expression}")
    file.write_text(text, encoding="utf-8")
