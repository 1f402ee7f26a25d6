"""Detectors as the status has them, and what one gained over another."""

from collections.abc import Mapping
from typing import Any

from detnas.lifecycle.status import DetectorStatus
from detnas.resource.status import Detector

Figures = Mapping[str, Any]


def detector_figures(
    detector: DetectorStatus, uri: str | None, trial: int | None = None
) -> dict[str, Any]:
    """Return a detector at its best resolution, as in the status.

    Args:
        detector: which.
        uri: where its files lie.
        trial: that it comes from.
    """
    figures = Detector(
        h=detector.h,
        map=detector.map,
        flops=detector.flops,
        resolution=str(detector.resolution),
        encoding=detector.encoding,
        parameters=detector.parameters,
        trial=trial,
        uri=uri,
    )
    return figures.model_dump(mode="json", by_alias=True, exclude_none=True)


def flops_change(flops: int, base: int) -> str | None:
    """By how much FLOPs differ from the base's, such as ``-41%``; none without a base."""
    if not base:
        return None
    percent = round(100 * (flops / base - 1))
    return f"{percent:+d}%" if percent else "0%"


def gain(student: Figures, base: Figures) -> str:
    """Say what a student of the status is, and what the base was."""
    change = flops_change(student.get("flops", 0), base.get("flops", 0))
    said = [_compared("H", "h", student, base), _compared("mAP", "map", student, base)]
    return ", ".join([*said, *([f"FLOPs {change}"] if change else [])])


def _compared(name: str, key: str, student: Figures, base: Figures) -> str:
    then = f" (base {base[key]})" if key in base else ""
    return f"{name} {student.get(key, 'unknown')}{then}"
