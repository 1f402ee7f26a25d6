"""mAP of subnets of the elastic teacher pool, phase by phase."""

from html import escape

import plotly.graph_objects as go

from detnas.records.results import Score, SubnetScore
from detnas.report.data import ReportData
from detnas.report.figures.style import MUTED, hover, series, styled
from detnas.report.wording import percent


def pool_figure(data: ReportData) -> go.Figure | None:
    """mAP of each evaluated subnet over the phases."""
    found: dict[str, list[tuple[int, SubnetScore, Score]]] = {}
    for phase, result in enumerate(data.pool):
        for subnet in result.subnets:
            if subnet.scores:
                top = max(subnet.scores, key=lambda score: score.map)
                found.setdefault(subnet.name, []).append((phase, subnet, top))
    if not found:
        return None
    figure = go.Figure()
    for number, (name, points) in enumerate(found.items()):
        figure.add_trace(_subnet(number, name, points))
    styled(figure, "phase", "mAP, %")
    figure.update_xaxes(
        tickvals=list(range(len(data.pool))), ticktext=list(map(_phase_name, range(len(data.pool))))
    )
    if data.base is not None:
        figure.add_hline(
            y=100 * max(scored.map for scored in data.base.scored),
            line={"color": MUTED, "dash": "dash", "width": 1.5},
            annotation={"text": "base", "font": {"color": MUTED}},
            annotation_position="bottom right",
        )
    return figure


def _phase_name(phase: int) -> str:
    return "0: supernet" if phase == 0 else f"{phase}: shrinking"


def _subnet(number: int, name: str, points: list[tuple[int, SubnetScore, Score]]) -> go.Scatter:
    colour, symbol = series(number)
    return go.Scatter(
        name=escape(name),
        mode="lines+markers",
        marker={"color": colour, "symbol": symbol, "size": 10},
        line={"color": colour, "width": 1.5},
        x=[phase for phase, _, _ in points],
        y=[100 * top.map for _, _, top in points],
        hovertext=[
            hover(
                f"{name}, after phase {phase}",
                f"depths {'-'.join(map(str, subnet.depths))}, widths {'-'.join(subnet.widths)}",
                f"mAP {percent(top.map)} at {top.resolution}",
            )
            for phase, subnet, top in points
        ],
        hoverinfo="text",
    )
