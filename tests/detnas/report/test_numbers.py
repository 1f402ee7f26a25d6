"""The numbers of a search, computed a second way from what its records state."""

import json
from pathlib import Path
from typing import cast

import pytest

from detnas.cost import detector_cost
from detnas.report import write_report
from detnas.report.data import ReportData
from detnas.report.numbers import SearchNumbers, search_numbers
from tests.detnas.report.search_in_store import StoredSearch
from tests.detnas.trials import LARGE


@pytest.fixture(scope="module")
def numbers(data: ReportData) -> SearchNumbers:
    return search_numbers(data)


def test_gains_add_up_from_the_base_along_a_lineage(
    numbers: SearchNumbers, data: ReportData
) -> None:
    assert data.base is not None
    by_number = {trial.number: trial for trial in numbers.trials}
    assert len(by_number) > 20
    for trial in numbers.trials:
        total, at = 0.0, cast("int | None", trial.number)
        while at is not None:
            total, at = total + by_number[at].gain, by_number[at].parent
        assert data.base.best.h + total == pytest.approx(trial.h)


def test_generation_counts_trials_that_raised_the_best_score(
    numbers: SearchNumbers, data: ReportData
) -> None:
    assert data.base is not None
    scores = [trial.h for trial in numbers.trials]
    for place, trial in enumerate(numbers.trials):
        before = [data.base.best.h, *scores[: place + 1]]
        rises = sum(h > max(before[:i]) for i, h in enumerate(before) if i)
        assert trial.generation == rises
    assert numbers.trials[-1].generation > 1


def test_parameters_are_those_of_both_backbones(numbers: SearchNumbers, data: ReportData) -> None:
    entries = {entry.index: entry for entry in data.entries}
    shape = data.spec.teachers.supernet
    for trial in numbers.trials:
        entry = entries[trial.number]
        assert entry.architecture is not None
        for found, backbone in (
            (trial.student_parameters, entry.architecture),
            (trial.teacher_parameters, shape.architecture(entry.proposal.teacher)),
        ):
            cost = detector_cost(backbone, data.spec.detector, 3, LARGE)
            assert found == cost.backbone.parameters
    largest = detector_cost(
        shape.architecture(data.spec.teachers.space.largest), data.spec.detector, 3, LARGE
    )
    assert numbers.trials[0].teacher_parameters == largest.backbone.parameters
    assert len({trial.teacher_parameters for trial in numbers.trials}) > 3


def test_stage_flops_add_up_to_the_backbones(numbers: SearchNumbers, data: ReportData) -> None:
    for found, detector in ((numbers.base, data.base), (numbers.best, data.best)):
        assert found is not None
        assert detector is not None
        cost = detector_cost(detector.architecture, data.spec.detector, 3, LARGE)
        assert list(found.stage_flops) == ["stem", "stage 1", "stage 2", "stage 3", "stage 4"]
        assert sum(found.stage_flops.values()) == cost.backbone.flops


def test_report_to_a_json_file_writes_the_numbers(
    numbers: SearchNumbers, finished: StoredSearch, tmp_path: Path
) -> None:
    path = write_report(finished.store, finished.requests, tmp_path / "numbers.json")
    assert json.loads(path.read_text()) == numbers.model_dump(mode="json", by_alias=True)
