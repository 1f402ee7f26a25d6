"""Writes the paper's tables beside what the searches found, as Markdown and as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detnas.reproduction.figures import SearchFigures, write_text
from detnas.reproduction.statistics import mean
from detnas.reproduction.tables import Column, Measured, PaperTable, TableRow

FinishedSearches = Mapping[str, Sequence[SearchFigures]]

_HEADINGS = {
    Column.AP: "AP",
    Column.GFLOPS: "GFLOPs",
    Column.BACKBONE_GFLOPS: "GFLOPs of the backbone",
    Column.PARAMETERS: "million parameters",
    Column.FPS: "FPS",
    Column.GPU_DAYS: "GPU-days of the search",
}
_DECIMALS = {
    Column.AP: 1,
    Column.GFLOPS: 4,
    Column.BACKBONE_GFLOPS: 4,
    Column.PARAMETERS: 3,
    Column.FPS: 1,
    Column.GPU_DAYS: 3,
}
_QUARTERS = (1, 2, 3, 4)
_MISSING = "–"


def write_tables(
    folder: Path,
    tables: Sequence[PaperTable],
    finished: FinishedSearches,
    failed: Mapping[str, str],
) -> tuple[Path, Path]:
    """Write ``tables.md`` and ``tables.json`` in place of earlier ones; return their paths.

    Args:
        folder: for both files.
        tables: the paper's.
        finished: searches by their names, once for each seed.
        failed: messages of the searches that failed, by their names.

    Raises:
        UserError: a file cannot be written.
    """
    measured = {table.number: [_measured(row, finished) for row in table.rows] for table in tables}
    document = {
        "tables": [_as_json(table, measured[table.number]) for table in tables],
        "failed": dict(failed),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    pages = [_as_markdown(table, measured[table.number]) for table in tables]
    seeds = max((len(one) for one in finished.values()), default=1)
    page = "\n\n".join([_head(seeds), *pages, *failures(failed)]) + "\n"
    return write_text(folder / "tables.md", page), write_text(folder / "tables.json", text)


def failures(failed: Mapping[str, str]) -> list[str]:
    """A section that names the searches that failed; nothing if none did."""
    lines = [f"- {name}: {message}" for name, message in failed.items()]
    return ["## Searches that failed", "\n".join(lines)] if lines else []


def _head(seeds: int) -> str:
    ran = "Each search ran once, with one seed."
    if seeds > 1:
        ran = (
            f"Searches ran with up to {seeds} seeds: values are means over them, ± the standard "
            "error."
        )
    return f"""# The paper's tables, and this repetition

{ran} The paper's numbers are of COCO; only differences between rows
can be compared. FPS is that of `detnas reproduce --bench`. "–" is not measured, or not printed."""


def _measured(row: TableRow, finished: FinishedSearches) -> list[Measured]:
    searches = finished.get(row.search, ()) if row.search else ()
    found = [row.measure(one) for one in searches]
    return [one for one in found if one is not None]


def _as_json(table: PaperTable, measured: Sequence[Sequence[Measured]]) -> dict[str, Any]:
    rows = []
    for row, found in zip(table.rows, measured, strict=True):
        seeds = [_seed_as_json(row, one, curve=table.curve) for one in found]
        paper = {column.value: float(value) for column, value in row.paper.items()}
        here = seeds[0] if len(seeds) == 1 else {"seeds": seeds} if seeds else None
        rows.append({"name": row.name, "paper": paper, "here": here})
    return {"number": table.number, "title": table.title, "note": table.note, "rows": rows}


def _seed_as_json(row: TableRow, found: Measured, *, curve: bool) -> dict[str, Any]:
    here: dict[str, Any] = {column.value: value for column, value in found.values.items()}
    here |= {"resolution": str(found.resolution), "h": found.h}
    here |= {"detector": row.detector, "search": found.figures.uri, "seed": found.figures.seed}
    return here | ({"bestHByTrial": list(found.figures.curve)} if curve else {})


def _as_markdown(table: PaperTable, measured: Sequence[Sequence[Measured]]) -> str:
    printed = [c for c in table.columns if any(c in row.paper for row in table.rows)]
    heads = ["", *(f"paper: {_HEADINGS[column]}" for column in printed)]
    heads += [*(f"here: {_HEADINGS[column]}" for column in table.columns), "size", "H"]
    heads += [f"best H after {25 * quarter} % of trials" for quarter in _QUARTERS if table.curve]
    lines = [heads, ["---"] * len(heads)]
    for row, found in zip(table.rows, measured, strict=True):
        cells = [row.name, *(_paper(row, column) for column in printed)]
        cells += [_here(found, column) for column in table.columns]
        cells += [_sizes(found), with_error([one.h for one in found], 4)]
        lines.append([*cells, *(_curve(found) if table.curve else ())])
    heading = f"## {table.number.capitalize()}: {table.title}"
    return "\n\n".join(part for part in (heading, rows_of(lines), table.note) if part)


def rows_of(lines: Sequence[Sequence[str]]) -> str:
    """Rows of cells as Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def with_error(values: Sequence[float], decimals: int) -> str:
    """The mean of values over seeds, ± its standard error if there are several."""
    if not values:
        return _MISSING
    found = mean(values)
    error = "" if found.count < 2 else f" ± {found.error:.{decimals}f}"
    return f"{found.value:.{decimals}f}{error}"


def _paper(row: TableRow, column: Column) -> str:
    return format(row.paper[column], "f") if column in row.paper else _MISSING


def _here(found: Sequence[Measured], column: Column) -> str:
    values = [one.values[column] for one in found if column in one.values]
    return with_error(values, _DECIMALS[column])


def _sizes(found: Sequence[Measured]) -> str:
    return ", ".join(dict.fromkeys(str(one.resolution) for one in found)) or _MISSING


def _curve(found: Sequence[Measured]) -> list[str]:
    curves = [one.figures.curve for one in found if one.figures.curve]
    return [
        with_error([curve[max(len(curve) * quarter // 4, 1) - 1] for curve in curves], 4)
        for quarter in _QUARTERS
    ]
