"""The version that a tag names, and what images of it are tagged."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.process import StepFailed

TAG = re.compile(
    r"v(?P<release>(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2})(?:-(?P<kind>alpha|beta|rc)\.(?P<number>\d+))?"
)
PYTHON = {"alpha": "a", "beta": "b", "rc": "rc"}


@dataclass(frozen=True, slots=True)
class Version:
    """A version, in the spelling of SemVer: 1.2.3, or 1.2.3-rc.1.

    Attributes:
        text: what charts and images are called by.
        python: the same as Python's packages spell it, 1.2.3rc1.
    """

    text: str
    python: str

    @property
    def is_preliminary(self) -> bool:
        """Whether it comes before the release that it is named after."""
        return "-" in self.text

    def image_tags(self) -> list[str]:
        """Tags of an image: the version, and unless it is preliminary the minor version.

        No ``latest``: a node asks for it again each time, and what it was is unknown.
        """
        if self.is_preliminary:
            return [self.text]
        return [self.text, self.text.rpartition(".")[0]]


def read_tag(tag: str) -> Version:
    """The version that a tag of git names, such as v1.2.3 or v1.2.3-rc.1.

    Raises:
        StepFailed: it names none.
    """
    found = TAG.fullmatch(tag)
    if not found:
        raise StepFailed(
            f"✗ the tag {tag!r} names no version: write v1.2.3, or v1.2.3-rc.1 for one that comes "
            "before it (alpha, beta or rc)"
        )
    release, kind, number = found["release"], found["kind"], found["number"]
    if not kind:
        return Version(release, release)
    return Version(f"{release}-{kind}.{number}", f"{release}{PYTHON[kind]}{number}")


def check_project(version: Version, root: Path) -> None:
    """Refuse a tag that is not the version of the sources.

    Raises:
        StepFailed: with what to change.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["version"] != version.python:
        raise StepFailed(
            f"✗ the tag names {version.text}, and pyproject.toml has version "
            f"{project['version']!r}: set {version.python!r} there, in detnas/__init__.py and as "
            "appVersion in charts/detnas/Chart.yaml, commit, and tag that commit"
        )
