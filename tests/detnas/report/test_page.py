"""The page: everything a reader looks for is in it, and nothing in it asks for the network."""

import base64
import json
import re

import plotly.graph_objects as go
import pytest

from detnas.architecture import encode
from detnas.records import keys
from detnas.records.artifacts import COMPARISON, MAX_COMPARISON_BYTES
from detnas.records.results import DetectorResult, Outcome
from detnas.report import write_report
from detnas.report.data import gather
from detnas.report.figures import Figure
from detnas.report.page import render
from tests.detnas.report.conftest import LOG
from tests.detnas.report.reading_page import Page
from tests.detnas.report.search_in_store import (
    PICTURE,
    begun,
    finished_search,
    with_base_and_pool,
    with_trials,
)
from tests.detnas.trials import START


@pytest.fixture(scope="module")
def text(data):
    return render(data)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_has_a_row_for_every_trial(page, finished):
    simulation = finished.simulation
    assert list(page.rows) == [f"trial-{index}" for index in range(len(simulation.entries))]
    assert len(page.rows) >= 30
    for index, row in enumerate(page.rows.values()):
        cells = [" ".join(cell.split()) for cell in row.cells]
        teacher = simulation.proposals[index].teacher
        result = simulation.results[index]
        assert cells[0] == str(index)
        assert cells[-2] == "-".join(map(str, teacher.depths))
        shown = [f"{100 * score.map:.2f} %" for score in result.scores] or ["–", "–"]
        assert cells[5:7] == shown
        assert (cells[4] == "succeeded") == (result.outcome is Outcome.SUCCEEDED)


def test_page_names_every_kind_of_action(page, finished):
    taken = {p.action.kind for p in finished.simulation.proposals if p.action}
    shown = {row.cells[2] for row in page.rows.values()}
    assert len(taken) >= 3
    for kind in taken:
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", kind).lower()
        assert any(step.startswith(words) for step in shown)


def test_page_loads_nothing_from_the_network(page):
    assert page.references
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    assert "default-src 'none'" in page.policy
    assert "http" not in page.policy


def test_page_escapes_texts_of_trials(text, page):
    assert "<script>alert" not in text
    outcome = page.rows["trial-7"].cells[4]
    assert LOG in outcome
    assert outcome.startswith("out of memory")
    failed = next(t for t in page.figures["score-data"]["data"] if t["name"] == "failed")
    told = next(hover for hover in failed["hovertext"] if hover.startswith("trial 7:"))
    assert "&lt;script&gt;" in told
    assert "<script" not in told


def test_page_contains_only_its_own_scripts(page):
    figures = len(page.figures)
    assert figures == 3
    assert page.tags.count("script") == figures + 2


def test_page_compares_base_best_and_exported(page, data):
    exported = data.exported
    for detector in (data.base, data.best, exported):
        assert f"{detector.best.h:.4f}" in page.text
        assert encode(detector.architecture) in page.text
    assert "16.0 ms" in page.text
    assert "8.0 ms" in page.text
    assert f"−{round(100 * (1 - exported.flops / data.base.flops))} %" in page.text
    assert data.status.exported_to in page.text


def test_page_contains_the_picture_of_both_detectors(text, data):
    assert data.picture == PICTURE
    assert f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}" in text


@pytest.mark.parametrize("damage", ["gone", "changed", "large"])
def test_page_without_its_picture_has_everything_else(root, damage):
    search = finished_search(root, 6)
    key = f"{keys.export_folder(search.requests.search)}/{COMPARISON}"
    if damage == "large":
        result = keys.result_key(keys.export_folder(search.requests.search))
        stored = search.store.get(result)
        assert stored is not None
        record = json.loads(stored.data)
        record["files"][COMPARISON]["size"] = MAX_COMPARISON_BYTES + 1
        search.store.delete(result)
        search.store.put_if_absent(result, json.dumps(record).encode())
    else:
        search.store.delete(key)
    if damage == "changed":
        search.store.put_if_absent(key, b"another" * 10)
    data = gather(search.store, search.requests)
    assert data.picture == b""
    assert data.exported is not None
    assert "differ most" not in render(data)


def test_page_shows_lineage_with_encodings(page, data):
    lineage = page.text.partition("Lineage of the winner")[2].partition("All trials")[0]
    assert data.lineage[0].detector.name == "base"
    assert data.lineage[-1].detector.name == "fine-tuning"
    position = 0
    for step in data.lineage:
        position = lineage.index(step.detector.name, position)
        squeezed = lineage[position:].replace(" ", "")
        assert encode(step.detector.architecture).replace(" ", "") in squeezed
        assert f"H {step.detector.best.h:.4f}" in lineage[position:]
    assert "lateral 3 afresh" in lineage
    assert "120 tensors were taken for the backbone" in lineage


def test_page_of_equal_records_is_equal(text, finished):
    assert render(gather(finished.store, finished.requests)) == text


def test_page_of_a_finished_search_has_no_banner(page):
    assert "not finished" not in page.text
    assert "failed." not in page.text.partition("Gain")[0]


def test_page_of_an_empty_search_says_so(root):
    search = begun(root)
    page = Page(render(gather(search.store, search.requests)))
    assert "This search is not finished (preparing)" in page.text
    assert "No trial has finished yet." in page.text
    assert "No trial has started yet." in page.text
    assert not page.rows
    assert not page.figures


def test_page_without_trials_shows_base_and_teachers(root):
    search = begun(root)
    with_base_and_pool(search)
    page = Page(render(gather(search.store, search.requests)))
    assert list(page.figures) == ["pool-data"]
    assert "0.5000" in page.text


def test_page_of_a_running_search_shows_trials_in_flight(root):
    search = begun(root)
    with_base_and_pool(search)
    with_trials(search, 9, open_ones=2)
    page = Page(render(gather(search.store, search.requests)))
    assert "9 of 30 trials finished" in page.text
    assert "2 without a result" in page.text
    assert len(page.rows) == 11
    assert "no result yet" in page.rows["trial-10"].cells[4]
    assert "Lineage of the best student so far" in page.text


def test_page_of_a_failed_search_says_why(root):
    search = begun(root)
    result = DetectorResult(
        outcome=Outcome.DIVERGED, message="loss is <b>nan</b>", started=START, finished=START
    )
    search.write(keys.result_key(keys.base_folder(search.requests.search)), result)
    text = render(gather(search.store, search.requests))
    assert "training the base failed (Diverged): loss is <b>nan</b>" in Page(text).text
    assert "<b>nan" not in text


def test_page_with_failed_trials_only_is_rendered(root):
    search = begun(root, 3, failures={0: "no", 1: "no", 2: "no"})
    with_base_and_pool(search)
    with_trials(search, 3)
    page = Page(render(gather(search.store, search.requests)))
    assert "none of 3 trials succeeded" in page.text
    assert "No trial has succeeded yet." in page.text
    assert len(page.rows) == 3


def test_write_report_replaces_an_earlier_page_atomically(finished, root):
    target = root / "new folder" / "page.html"
    write_report(finished.store, finished.requests, target)
    target.write_text("old")
    write_report(finished.store, finished.requests, target)
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]


def test_page_escapes_figures_inside_scripts(data, monkeypatch):
    title = "</script><b>&amp;"
    named = Figure("odd", "Odd", "", "yet.", lambda _: go.Figure(layout_title_text=title))
    monkeypatch.setattr("detnas.report.page.FIGURES", (named,))
    page = Page(render(data))
    assert page.figures["odd-data"]["layout"]["title"]["text"] == title
