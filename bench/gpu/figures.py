"""Figures as lines of JSON, printed and kept as soon as they are known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """What one part finds.

    Attributes:
        part: its name.
        file: every line is appended to it.
        judges: whether aims are printed beside the figures; those of speed say nothing about
            detectors that no one would use.
    """

    part: str
    file: Path
    judges: bool = True

    def add(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Report a figure, and whether it meets its aim."""
        line: Line = {"part": self.part, "figure": name, "value": float(f"{value:.4g}")}
        if unit:
            line["unit"] = unit
        if self.judges and at_most is not None:
            line |= {"aim": f"≤ {at_most:g}", "met": value <= at_most}
        if self.judges and at_least is not None:
            line |= {"aim": f"≥ {at_least:g}", "met": value >= at_least}
        self._write(line)

    def require(self, name: str, value: float, *, at_most: float) -> None:
        """Report a figure of correctness.

        Raises:
            AssertionError: it is too large, or not a number.
        """
        line = {"part": self.part, "figure": name, "value": float(f"{value:.3g}")}
        self._write({**line, "aim": f"≤ {at_most:g}", "met": value <= at_most})
        assert value <= at_most, f"{name}: {value:.3g}, at most {at_most:g} is right"

    def end(self, seconds: float, failure: str = "") -> None:
        """Report how long the part took, and why it failed if it did."""
        line: Line = {"part": self.part, "figure": "duration", "value": round(seconds, 1)}
        self._write({**line, "unit": "s", **({"failed": failure} if failure else {})})

    def _write(self, line: Line) -> None:
        text = json.dumps(line, ensure_ascii=False)
        print(text, flush=True)
        with self.file.open("a") as file:
            file.write(f"{text}\n")


def read_lines(file: Path) -> list[Line]:
    """All lines that were kept."""
    return [json.loads(line) for line in file.read_text().splitlines()]


_VERDICTS = {True: "met", False: "missed", None: ""}


def table(lines: Sequence[Line]) -> str:
    """The figures for people."""
    rows = [
        (
            line["part"],
            line["figure"],
            f"{line['value']:g} {line.get('unit', '')}".strip(),
            line.get("aim", ""),
            line.get("failed") or _VERDICTS[line.get("met")],
        )
        for line in lines
    ]
    rows.insert(0, ("part", "figure", "value", "aim", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )
