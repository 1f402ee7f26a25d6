"""Writes the paper's tables beside the searches' results, as Markdown and as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detnas.reproduction.measuring import FinishedSearch, Measured
from detnas.reproduction.tables import Column, PaperTable, TableRow
from detnas.store.durable_files import rename_into_place, temporary_file
from detnas.store.errors import os_errors

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
    finished: Mapping[str, FinishedSearch],
    failed: Mapping[str, str],
) -> tuple[Path, Path]:
    """Write ``tables.md`` and ``tables.json`` in place of earlier ones; return their paths.

    Args:
        folder: for both files.
        tables: the paper's.
        finished: searches by their names.
        failed: messages of the searches that failed, by their names.

    Raises:
        UserError: a file cannot be written.
    """
    measured = {table.number: [_measured(row, finished) for row in table.rows] for table in tables}
    document = {
        "tables": [_as_json(table, measured[table.number], finished) for table in tables],
        "failed": dict(failed),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    pages = [_as_markdown(table, measured[table.number]) for table in tables]
    lines = [f"- {name}: {message}" for name, message in failed.items()]
    missing = ["## Searches that failed", "\n".join(lines)] if lines else []
    page = "\n\n".join([_HEAD, *pages, *missing]) + "\n"
    return _write(folder / "tables.md", page), _write(folder / "tables.json", text)


_HEAD = """# The paper's tables, and this repetition

Each search ran once, with one seed. The paper's numbers are of COCO; only differences between rows
can be compared. FPS is that of `detnas reproduce --bench`. "–" is not measured, or not printed."""


def _measured(row: TableRow, finished: Mapping[str, FinishedSearch]) -> Measured | None:
    search = finished.get(row.search) if row.search else None
    return search.measure(row) if search else None


def _as_json(
    table: PaperTable, measured: Sequence[Measured | None], finished: Mapping[str, FinishedSearch]
) -> dict[str, Any]:
    rows = []
    for row, found in zip(table.rows, measured, strict=True):
        search = finished.get(row.search) if row.search else None
        here: dict[str, Any] | None = None
        if found is not None and search is not None:
            here = {column.value: value for column, value in found.values.items()}
            here |= {"resolution": str(found.resolution), "h": found.h}
            here |= {"detector": row.detector, "search": search.search.uri}
            here |= {"bestHByTrial": list(found.curve)} if table.curve else {}
        paper = {column.value: float(value) for column, value in row.paper.items()}
        rows.append({"name": row.name, "paper": paper, "here": here})
    return {"number": table.number, "title": table.title, "note": table.note, "rows": rows}


def _as_markdown(table: PaperTable, measured: Sequence[Measured | None]) -> str:
    printed = [c for c in table.columns if any(c in row.paper for row in table.rows)]
    heads = ["", *(f"paper: {_HEADINGS[column]}" for column in printed)]
    heads += [*(f"here: {_HEADINGS[column]}" for column in table.columns), "size", "H"]
    heads += [f"best H after {25 * quarter} % of trials" for quarter in _QUARTERS if table.curve]
    lines = [heads, ["---"] * len(heads)]
    for row, found in zip(table.rows, measured, strict=True):
        cells = [row.name, *(_paper(row, column) for column in printed)]
        cells += [_here(found, column) for column in table.columns]
        cells += [str(found.resolution), f"{found.h:.4f}"] if found else [_MISSING] * 2
        lines.append([*cells, *(_curve(found) if table.curve else ())])
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    heading = f"## {table.number.capitalize()}: {table.title}"
    return "\n\n".join(part for part in (heading, body, table.note) if part)


def _paper(row: TableRow, column: Column) -> str:
    return format(row.paper[column], "f") if column in row.paper else _MISSING


def _here(found: Measured | None, column: Column) -> str:
    value = found.values.get(column) if found else None
    return _MISSING if value is None else f"{value:.{_DECIMALS[column]}f}"


def _curve(found: Measured | None) -> list[str]:
    if found is None or not found.curve:
        return [_MISSING] * len(_QUARTERS)
    trials = len(found.curve)
    return [f"{found.curve[max(trials * quarter // 4, 1) - 1]:.4f}" for quarter in _QUARTERS]


def _write(path: Path, text: str) -> Path:
    with os_errors(path), temporary_file(path.absolute().parent) as file:
        file.write(text.encode())
        rename_into_place(file, path.absolute())
    return path
