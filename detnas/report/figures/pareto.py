"""mAP over FLOPs, or the latency if H counts that, at each resolution, against the base."""

from collections.abc import Sequence

import plotly.graph_objects as go

from detnas.ledger import LedgerEntry
from detnas.plan.front import MeasuredDetector
from detnas.plan.step_text import step_text
from detnas.records.settings import Resolution
from detnas.report.data import ReportData, ReportDetector
from detnas.report.figures.style import INK, MUTED, hover, series, styled
from detnas.report.wording import giga, percent
from detnas.score import ResolutionScore
from detnas.spec.teachers import Teachers

_EXPORTED = "#d55e00"


def pareto_figure(data: ReportData) -> go.Figure | None:
    """Every student at every resolution, the front, the base and the exported detector."""
    succeeded = [entry for entry in data.entries if entry.succeeded]
    if not succeeded:
        return None
    figure = go.Figure()
    for number, resolution in enumerate(data.resolutions):
        figure.add_trace(_students(number, resolution, succeeded, data.spec.teachers))
    figure.add_trace(_front(data))
    if data.base is not None:
        figure.add_trace(_base(data.base))
    if data.exported is not None:
        figure.add_trace(_exported(data.exported))
    timed = data.spec.search.counts_latency
    unit = "milliseconds for one image" if timed else "GFLOPs for one image"
    return styled(figure, unit, "mAP, %")


def _cost(point: ResolutionScore | MeasuredDetector) -> float:
    """Milliseconds, or else GFLOPs."""
    return point.flops / 1e9 if point.milliseconds is None else point.milliseconds


def _students(
    number: int, resolution: Resolution, entries: Sequence[LedgerEntry], teachers: Teachers
) -> go.Scatter:
    colour, symbol = series(number)
    points = [(e, s) for e in entries for s in e.scores if s.resolution == resolution]
    return go.Scatter(
        name=str(resolution),
        mode="markers",
        marker={
            "color": colour,
            "symbol": symbol,
            "size": 9,
            "opacity": 0.75,
            "line": {"width": 1, "color": "white"},
        },
        **_positions([scored for _, scored in points]),
        hovertext=[
            hover(f"trial {e.index}: {step_text(e.proposal, teachers)}", *_scorer(s))
            for e, s in points
        ],
        hoverinfo="text",
    )


def _front(data: ReportData) -> go.Scatter:
    return go.Scatter(
        name="Pareto front",
        mode="lines",
        line={"shape": "hv", "color": INK, "width": 1.5},
        x=[_cost(point) for point in data.front],
        y=[100 * point.map for point in data.front],
        hoverinfo="skip",
    )


def _base(base: ReportDetector) -> go.Scatter:
    scored = sorted(base.scored, key=lambda one: one.cost)
    return go.Scatter(
        name="base",
        mode="lines+markers",
        line={"dash": "dash", "color": MUTED, "width": 1.5},
        marker={"symbol": "diamond-open", "size": 12, "color": INK, "line": {"width": 2}},
        **_positions(scored),
        hovertext=[hover("base", *_scorer(one)) for one in scored],
        hoverinfo="text",
    )


def _exported(exported: ReportDetector) -> go.Scatter:
    return go.Scatter(
        name="exported",
        mode="markers",
        marker={
            "symbol": "star",
            "size": 17,
            "color": _EXPORTED,
            "line": {"width": 1.5, "color": INK},
        },
        **_positions([exported.best]),
        hovertext=[hover("exported", *_scorer(exported.best))],
        hoverinfo="text",
    )


def _positions(scored: Sequence[ResolutionScore]) -> dict[str, list[float]]:
    return {"x": [_cost(one) for one in scored], "y": [100 * one.map for one in scored]}


def _scorer(scored: ResolutionScore) -> tuple[str, ...]:
    return (
        f"mAP {percent(scored.map)} at {scored.resolution}",
        f"{giga(scored.flops)} GFLOPs, H {scored.h:.4f}",
        *([] if scored.milliseconds is None else [f"{scored.milliseconds:.1f} ms"]),
    )
