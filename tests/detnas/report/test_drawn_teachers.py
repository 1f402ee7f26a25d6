"""A search whose teachers are drawn for each step: nothing names one teacher of a trial."""

from dataclasses import replace
from pathlib import Path

import pytest

from detnas.report.data import ReportData, gather
from detnas.report.numbers import search_numbers
from detnas.report.tables import lineage_steps, trial_rows
from detnas.spec.search import Strategy
from detnas.spec.teachers import TeacherChoice, Teachers
from tests.detnas.report.search_in_store import finished_search


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    search = finished_search(tmp_path_factory.mktemp("drawn") / Path("s"), 6)
    spec = search.requests.spec
    choice = {"choice": TeacherChoice.PER_ITERATION}
    teachers = spec.teachers.model_copy(update=choice)
    changed = spec.model_copy(update={"teachers": teachers})
    manifest = search.requests.manifest.model_copy(update={"spec": changed})
    return gather(search.store, replace(search.requests, manifest=manifest))


def test_trial_rows_of_a_pipeline_name_no_teacher(drawn: ReportData) -> None:
    spec = drawn.spec
    search = spec.search.model_copy(update={"strategy": Strategy.PIPELINE})
    pipeline = replace(drawn, spec=spec.model_copy(update={"search": search}))
    assert {row[-2].text for row in trial_rows(pipeline)} == {"none"}


def test_trial_rows_of_drawn_teachers_name_no_teacher(drawn: ReportData) -> None:
    rows = trial_rows(drawn)
    assert len(rows) >= 6
    assert {row[-2].text for row in rows} == {"drawn for each step"}


def test_trial_rows_call_a_step_without_a_choice_of_teachers_further_training(
    drawn: ReportData,
) -> None:
    dynamic = drawn.spec.model_copy(update={"teachers": Teachers()})
    kinds = [
        {row[2].text for row in trial_rows(data)} & {"another teacher", "trained further"}
        for data in (drawn, replace(drawn, spec=dynamic))
    ]
    assert kinds == [{"trained further"}, {"another teacher"}]


def test_lineage_and_numbers_of_drawn_teachers_name_no_teacher(drawn: ReportData) -> None:
    steps = lineage_steps(drawn)
    assert len(steps) > 1
    assert {step.teacher for step in steps} == {""}
    assert not any("another teacher" in step.did for step in steps)
    trials = search_numbers(drawn).trials
    assert trials
    assert {trial.teacher_parameters for trial in trials} == {None}
