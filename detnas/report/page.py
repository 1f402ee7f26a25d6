"""The page: one self-contained HTML file from the data."""

import base64
from dataclasses import dataclass
from importlib.resources import files

import plotly.io
import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detnas.gain import measured_on
from detnas.lifecycle.status import OnTest
from detnas.plan.step_text import spaced
from detnas.report.data import ReportData, ReportDetector
from detnas.report.figures import FIGURES, Figure
from detnas.report.tables import (
    compared_headings,
    compared_rows,
    comparison,
    lineage_steps,
    trial_headings,
    trial_rows,
)
from detnas.report.wording import change, percent, signed
from detnas.score import ResolutionScore


@dataclass(frozen=True, slots=True)
class Headline:
    """One number at the top of the page, with its explanation."""

    name: str
    value: str
    remark: str


def render(data: ReportData) -> str:
    """Return the page as self-contained HTML; equal data give equal pages."""
    environment = Environment(
        loader=PackageLoader("detnas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        data=data,
        picture=base64.b64encode(data.picture).decode(),
        phase=spaced(data.status.phase),
        headlines=headlines(data),
        measured=measured_images(data),
        comparison=comparison(data),
        figures=[(figure, _drawn(figure, data)) for figure in FIGURES],
        steps=lineage_steps(data),
        compared=compared_rows(data),
        compared_headings=compared_headings(data),
        headings=trial_headings(data),
        rows=trial_rows(data),
        failed=sum(not entry.succeeded for entry in data.entries),
        style=_inlined("page.css"),
        script=_inlined("page.js"),
        plotly=Markup(plotly.offline.get_plotlyjs()),  # noqa: S704 - a library's own source
    )


def headlines(data: ReportData) -> list[Headline]:
    """The gain of the exported student, or of the best so far, over the base."""
    after, base = data.exported or data.best, data.base
    if after is None or base is None:
        return []
    top, then = _measured(after, base)
    shown = [
        Headline(
            "mAP",
            f"{signed(100 * (top.map - then.map), 2)} points",
            f"{percent(then.map)} → {percent(top.map)}",
        ),
        Headline(
            "FLOPs at equal resolution",
            change(after.flops, base.flops) or "±0 %",
            f"{data.spec.base_resolution}",
        ),
        Headline(
            "parameters", change(after.parameters, base.parameters) or "±0 %", "entire detector"
        ),
        Headline("H", change(top.h, then.h) or "±0 %", f"{then.h:.4f} → {top.h:.4f}"),
    ]
    if after.latency and base.latency:
        by = change(after.latency.milliseconds, base.latency.milliseconds) or "±0 %"
        shown.append(
            Headline(
                "latency",
                by,
                f"{base.latency.milliseconds:.1f} → {after.latency.milliseconds:.1f} ms",
            )
        )
    return shown


def _measured(
    after: ReportDetector, base: ReportDetector
) -> tuple[ResolutionScore | OnTest, ResolutionScore | OnTest]:
    """Both as measured on the test images, or else on those for validation."""
    if after.on_test is not None and base.on_test is not None:
        return after.on_test, base.on_test
    return after.best, base.best


def measured_images(data: ReportData) -> str:
    """The images on which the headlines' mAP and H are measured."""
    if data.exported is not None and data.exported.on_test is not None:
        return measured_on(data.status.test_images, unseen=True)
    return data.status.measured_on


def _drawn(figure: Figure, data: ReportData) -> Markup | None:
    drawn = figure.draw(data)
    if drawn is None:
        return None
    # "<" occurs only in JSON strings; escaped, no text can end the script element.
    json = plotly.io.to_json(drawn, validate=False).replace("<", "\\u003c")
    return Markup(json)  # noqa: S704


def _inlined(name: str) -> Markup:
    text = files("detnas.report").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - ours
