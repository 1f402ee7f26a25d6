"""H of every trial, and the best so far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import plotly.graph_objects as go

from detnas.ledger import LedgerEntry
from detnas.plan.step_text import spaced, step_text, teacher_text
from detnas.records.proposal import Proposal, Step
from detnas.report.data import ReportData
from detnas.report.figures.style import (
    FAILED,
    INK,
    MUTED,
    hover,
    kind_marker,
    kind_order,
    styled,
)
from detnas.report.wording import percent, step_kind

_BY_NUMBER = "trial"
_BY_TIME = "{unit} since the first trial started"
_MARGIN = 0.08
_ROOM_FOR_TOGGLE = 96
Points = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True)
class _Series:
    """A trace, and its points over the trial's number and over the time of its end."""

    trace: go.Scatter
    by_number: Points
    by_time: Points


def score_figure(data: ReportData) -> go.Figure | None:
    """H over the trial's number or the time of its end, as the reader chooses."""
    if not data.entries:
        return None
    clock = _Clock(data.entries)
    drawn = [_best(data.entries, clock), *_by_kind(data, clock), *_failed(data, clock)]
    figure = go.Figure()
    for series in drawn:
        numbers, heights = series.by_number
        figure.add_trace(series.trace.update(x=numbers, y=heights))
    styled(figure, _BY_NUMBER, "H")
    toggle = _toggle([one.by_number for one in drawn], [one.by_time for one in drawn], clock.unit)
    figure.update_layout(updatemenus=[toggle], margin_t=_ROOM_FOR_TOGGLE)
    return _with_base(figure, data)


class _Clock:
    """Time since the first trial started, in a unit that suits its range."""

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        self._begin: datetime = min(e.finished - timedelta(seconds=e.seconds) for e in entries)
        whole = (max(e.finished for e in entries) - self._begin).total_seconds()
        self.unit, self._seconds = ("hours", 3600) if whole > 7200 else ("minutes", 60)

    def at(self, entry: LedgerEntry) -> float:
        """When a trial ended."""
        return round((entry.finished - self._begin).total_seconds() / self._seconds, 3)


def _best(entries: Sequence[LedgerEntry], clock: _Clock) -> _Series:
    ended = sorted(entries, key=lambda entry: (entry.finished, entry.index))
    return _Series(_best_line(), _steps(entries, _number), _steps(ended, clock.at))


def _by_kind(data: ReportData, clock: _Clock) -> Iterator[_Series]:
    """The trials that succeeded, by the kind of their step."""
    succeeded = [entry for entry in data.entries if entry.succeeded]
    for kind in sorted({step_kind(e.proposal) for e in succeeded}, key=kind_order):
        entries = [entry for entry in succeeded if step_kind(entry.proposal) == kind]
        heights = [entry.h or 0.0 for entry in entries]
        yield _series(_trials(kind, entries, data), entries, heights, clock)


def _failed(data: ReportData, clock: _Clock) -> Iterator[_Series]:
    """The trials that failed, if there are any."""
    entries = [entry for entry in data.entries if not entry.succeeded]
    if entries:
        floor = [_floor(data)] * len(entries)
        yield _series(_failures(entries, data), entries, floor, clock)


def _series(
    trace: go.Scatter, entries: Sequence[LedgerEntry], heights: list[float], clock: _Clock
) -> _Series:
    numbers, times = list(map(_number, entries)), list(map(clock.at, entries))
    return _Series(trace, (numbers, heights), (times, heights))


def best_so_far(entries: Sequence[LedgerEntry]) -> list[tuple[LedgerEntry, float]]:
    """The highest H up to and including each trial, starting with the first success.

    Args:
        entries: in the order in which they count.
    """
    highest: float | None = None
    line: list[tuple[LedgerEntry, float]] = []
    for entry in entries:
        if entry.h is not None and (highest is None or entry.h > highest):
            highest = entry.h
        if highest is not None:
            line.append((entry, highest))
    return line


def _number(entry: LedgerEntry) -> float:
    return entry.index


def _steps(entries: Sequence[LedgerEntry], at: Any) -> Points:
    line = best_so_far(entries)
    return [at(entry) for entry, _ in line], [height for _, height in line]


def _best_line() -> go.Scatter:
    return go.Scatter(
        name="best so far",
        mode="lines",
        line={"shape": "hv", "color": INK, "width": 2},
        hoverinfo="skip",
    )


def _trials(kind: str, entries: Sequence[LedgerEntry], data: ReportData) -> go.Scatter:
    return go.Scatter(
        name=kind,
        mode="markers",
        marker=kind_marker(kind),
        hovertext=[_trial_hover(entry, data) for entry in entries],
        hoverinfo="text",
    )


def _failures(entries: Sequence[LedgerEntry], data: ReportData) -> go.Scatter:
    return go.Scatter(
        name="failed",
        mode="markers",
        marker={"color": FAILED, "symbol": "x", "size": 9},
        hovertext=[_trial_hover(entry, data) for entry in entries],
        hoverinfo="text",
        cliponaxis=False,
    )


def _trial_hover(entry: LedgerEntry, data: ReportData) -> str:
    """Text that is shown when the pointer is on a trial."""
    top = entry.best
    return hover(
        f"trial {entry.index}: {step_text(entry.proposal, data.spec.teachers)}",
        _teacher(entry.proposal, data),
        f"H {top.h:.4f}, mAP {percent(top.map)} at {top.resolution}" if top else "",
        "" if top else f"{spaced(entry.outcome)}: {entry.message}",
    )


def _teacher(proposal: Proposal, data: ReportData) -> str:
    if proposal.step is Step.SUBNET:  # named by the step
        return ""
    return f"teacher: {data.unnamed_teacher or teacher_text(proposal.teacher)}"


def _floor(data: ReportData) -> float:
    """Position of failed trials: slightly below all others."""
    heights = [entry.h for entry in data.entries if entry.h is not None]
    if data.base:
        heights.append(data.base.best.h)
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    return low - _MARGIN * ((high - low) or 1.0)


def _toggle(by_number: list[Points], by_time: list[Points], unit: str) -> dict[str, Any]:
    return {
        "type": "buttons",
        "direction": "right",
        "x": 0,
        "xanchor": "left",
        "y": 1.13,
        "yanchor": "bottom",
        "showactive": True,
        "buttons": [
            _button("by trial", by_number, _BY_NUMBER),
            _button("by time", by_time, _BY_TIME.format(unit=unit)),
        ],
    }


def _button(label: str, points: list[Points], title: str) -> dict[str, Any]:
    values = {"x": [x for x, _ in points], "y": [y for _, y in points]}
    layout = {"xaxis.title.text": title, "xaxis.autorange": True, "yaxis.autorange": True}
    return {"label": label, "method": "update", "args": [values, layout]}


def _with_base(figure: go.Figure, data: ReportData) -> go.Figure:
    if data.base is not None:
        figure.add_hline(
            y=data.base.best.h,
            line={"color": MUTED, "dash": "dash", "width": 1.5},
            annotation={"text": f"base {data.base.best.h:.4f}", "font": {"color": MUTED}},
            annotation_position="bottom right",
        )
    return figure
