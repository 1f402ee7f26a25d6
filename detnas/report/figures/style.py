"""The style of all figures: colours that colour-blind readers can distinguish, and the layout."""

from html import escape
from typing import Any

import plotly.graph_objects as go

from detnas.actions import ActionKind
from detnas.plan.step_text import spaced

INK = "#1f2430"
MUTED = "#68707f"
GRID = "#e8eaef"
FAILED = "#a3123a"
# Okabe and Ito's colours, without the yellow, which is too light on white.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon")
HEIGHT = 460
_HOVER_WIDTH = 70
_HOVER_LENGTH = 240

_KINDS = {
    "baseline": (MUTED, "star"),
    "teacher": ("#56b4e9", "circle"),
    "subnet": ("#56b4e9", "circle"),
    spaced(ActionKind.CHANNEL_PRUNING): ("#0072b2", "triangle-down"),
    spaced(ActionKind.LAYER_PRUNING): ("#d55e00", "square"),
    spaced(ActionKind.ADD_LAYER): ("#009e73", "triangle-up"),
    spaced(ActionKind.REARRANGE): ("#cc79a7", "diamond"),
}
_OTHER = ("#e69f00", "pentagon")


def kind_marker(kind: str) -> dict[str, Any]:
    """Colour and shape of a kind of step; a kind that is not listed has one of its own."""
    colour, symbol = _KINDS.get(kind, _OTHER)
    return {
        "color": colour,
        "symbol": symbol,
        "size": 10,
        "line": {"width": 1, "color": "white"},
    }


def kind_order(kind: str) -> tuple[int, str]:
    """Sort key of a kind in legends: the order of this file."""
    known = list(_KINDS)
    return (known.index(kind) if kind in known else len(known)), kind


def series(number: int) -> tuple[str, str]:
    """Colour and shape of the n-th series, from 0."""
    return PALETTE[number % len(PALETTE)], SYMBOLS[number % len(SYMBOLS)]


def styled(figure: go.Figure, x: str, y: str) -> go.Figure:
    """Give a figure the common layout and the titles of its axes."""
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": MUTED,
        "automargin": True,
    }
    figure.update_layout(
        template=None,
        height=HEIGHT,
        margin={"l": 64, "r": 24, "t": 48, "b": 56},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="closest",
        hoverlabel={"align": "left", "bgcolor": "white", "font": {"color": INK}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={**axis, "title": {"text": x}},
        yaxis={**axis, "title": {"text": y}},
    )
    return figure


def hover(*lines: str) -> str:
    """Text that is shown on hovering: plotly reads it as markup, so the lines are escaped."""
    return "<br>".join(escape(part) for line in lines if line for part in _folded(line))


def _folded(text: str) -> list[str]:
    text = " ".join(text.split())
    if len(text) > _HOVER_LENGTH:
        text = text[: _HOVER_LENGTH - 1] + "…"
    return [text[at : at + _HOVER_WIDTH] for at in range(0, len(text), _HOVER_WIDTH)]
