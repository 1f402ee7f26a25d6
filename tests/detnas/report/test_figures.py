"""Figures: what they draw is what the search found."""

from collections.abc import Callable
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from detnas.report.data import ReportData
from detnas.report.figures import FIGURES
from detnas.report.figures.pareto import pareto_figure
from detnas.report.figures.pool import pool_figure
from detnas.report.figures.score import best_so_far, score_figure
from detnas.spec.search import Strategy
from detnas.spec.teachers import TeacherChoice


def figure_of(draw: Callable[[ReportData], go.Figure | None], data: ReportData) -> go.Figure:
    figure = draw(data)
    assert figure is not None
    return figure


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


def test_best_so_far_never_falls_and_ends_at_the_best(data):
    for entries in (data.entries, sorted(data.entries, key=lambda e: e.finished)):
        heights = [height for _, height in best_so_far(entries)]
        assert heights == sorted(heights)
        assert heights[-1] == data.best.best.h
        assert len(set(heights)) > 2


def test_best_so_far_starts_with_the_first_success(data):
    failed = [entry for entry in data.entries if not entry.succeeded]
    succeeded = [entry for entry in data.entries if entry.succeeded]
    line = best_so_far([*failed, *succeeded])
    assert line[0] == (succeeded[0], succeeded[0].h)
    assert best_so_far(failed) == []


def test_score_figure_draws_every_trial_once(data):
    figure = figure_of(score_figure, data)
    drawn: dict[float, float] = {}
    for one in figure.data[1:]:
        drawn |= dict(zip(one.x, one.y, strict=True))
    assert sorted(drawn) == sorted(entry.index for entry in data.entries)
    assert len(drawn) >= 30
    for entry in data.entries:
        if entry.succeeded:
            assert drawn[entry.index] == entry.h
    failed = [entry.index for entry in data.entries if not entry.succeeded]
    assert list(trace(figure, "failed").x) == failed
    assert max(trace(figure, "failed").y) < min(e.h for e in data.entries if e.h)


def test_score_over_time_is_in_order_of_finishing(data):
    figure = figure_of(score_figure, data)
    by_time = figure.layout.updatemenus[0].buttons[1].args[0]
    assert len(by_time["x"]) == len(figure.data)
    best_x, best_y = by_time["x"][0], by_time["y"][0]
    assert list(best_x) == sorted(best_x)
    assert list(best_y) == sorted(best_y)
    assert min(min(x) for x in by_time["x"]) >= 0


def test_score_figure_draws_the_base_as_a_line(data):
    assert [shape.y0 for shape in figure_of(score_figure, data).layout.shapes] == [data.base.best.h]


def test_score_figure_hover_has_action_teacher_and_map(data):
    figure = figure_of(score_figure, data)
    told = [text for one in figure.data[1:] for text in one.hovertext]
    pruned = next(text for text in told if "channel pruning, 5 %" in text)
    assert "teacher: depths" in pruned
    assert "mAP" in pruned
    assert "H 0." in pruned


@pytest.mark.parametrize(
    ("part", "change", "teacher"),
    [
        ("search", {"strategy": Strategy.PIPELINE}, "none"),
        ("teachers", {"choice": TeacherChoice.PER_ITERATION}, "drawn for each step"),
    ],
)
def test_score_figure_hover_names_no_teacher_that_taught_nothing(data, part, change, teacher):
    settings = getattr(data.spec, part).model_copy(update=change)
    data = replace(data, spec=data.spec.model_copy(update={part: settings}))
    figure = figure_of(score_figure, data)
    told = [text for one in figure.data[1:] for text in one.hovertext]
    assert all(f"teacher: {teacher}" in text for text in told)


def test_front_is_nondominated_and_dominates_the_rest(data):
    front = trace(figure_of(pareto_figure, data), "Pareto front")
    points = list(zip(front.x, front.y, strict=True))
    assert len(points) >= 2
    assert points == sorted(points)
    assert [y for _, y in points] == sorted({y for _, y in points})
    for entry in data.entries:
        for scored in entry.scores:
            x, y = scored.flops / 1e9, 100 * scored.map
            assert any(fx <= x and fy >= y for fx, fy in points)


def test_pareto_figure_draws_students_base_and_exported(data):
    figure = figure_of(pareto_figure, data)
    succeeded = sum(entry.succeeded for entry in data.entries)
    for resolution in ("96x64", "128x96"):
        assert len(trace(figure, resolution).x) == succeeded
    assert list(trace(figure, "base").y) == [30, 50]
    assert list(trace(figure, "exported").y) == [100 * data.exported.best.map]
    without = figure_of(pareto_figure, replace(data, exported=None))
    assert "exported" not in {one.name for one in without.data}


def test_pool_figure_follows_each_subnet_over_the_phases(data):
    figure = figure_of(pool_figure, data)
    assert {one.name for one in figure.data} == {"smallest", "largest", "random 1"}
    assert list(trace(figure, "largest").x) == [0, 1, 2]
    assert list(trace(figure, "largest").y) == pytest.approx([50, 53, 56])


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_figure_without_data_has_a_waiting_text(figure, data):
    empty = replace(data, entries=(), front=(), pool=(), base=None, exported=None)
    assert figure.draw(empty) is None
    assert figure.waiting.endswith("yet.")


def test_figures_have_distinct_anchors():
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
