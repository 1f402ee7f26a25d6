"""The page's figures: one file each, a pure function of the data; this table lists them."""

from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from detnas.report.data import ReportData
from detnas.report.figures.pareto import pareto_figure
from detnas.report.figures.pool import pool_figure
from detnas.report.figures.score import score_figure


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the page.

    Attributes:
        name: its anchor in the page.
        title: above it.
        caption: below it: how to read it.
        waiting: the text while there is nothing to draw.
        draw: makes it; None while there is nothing to draw.
    """

    name: str
    title: str
    caption: str
    waiting: str
    draw: Callable[[ReportData], go.Figure | None]


FIGURES = (
    Figure(
        "score",
        "Score of every trial",
        "H at each trial's best resolution, coloured by what the trial changed. Failed trials are "
        "crosses at the bottom. Point at a trial for its action, teacher and mAP.",
        "No trial has finished yet.",
        score_figure,
    ),
    Figure(
        "pareto",
        "Accuracy over cost",
        "Every student at every resolution. The line joins the students that no other surpasses "
        "in both mAP and FLOPs, or the latency if H counts that; the dashed line is the base. "
        "FLOPs are multiply-accumulates of the entire detector for one image of that size.",
        "No trial has succeeded yet.",
        pareto_figure,
    ),
    Figure(
        "pool",
        "Teachers",
        "mAP of some subnets of the elastic pool, each at the resolution where it is best, after "
        "each phase of training and with its own batch norm statistics.",
        "The pool of teachers has no evaluated phase yet.",
        pool_figure,
    ),
)
