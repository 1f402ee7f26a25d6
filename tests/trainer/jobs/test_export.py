"""The export job; what its folder does elsewhere is tested with whole searches."""

import pytest

from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult, ExportResult, Score
from detnas.store.artifacts import load_record
from detnas_trainer import jobs
from detnas_trainer.training.interruption import Interrupted, Interruption
from tests.trainer.conftest import Workplace, training

KEY = "local/a/students/best"
FILES = {
    *("detector.py", "detector.pth", "detnas_backbone.py", "detnas_mmcv_ext.py"),
    *("architecture.json", "README.md"),
}


@pytest.fixture
def trained(workplace: Workplace) -> DetectorResult:
    request = workplace.base_request("local/a/base", training=training(1))
    assert jobs.run("base", workplace.put(request)) == 0
    return workplace.result("local/a/base", DetectorResult)


def _export(workplace: Workplace, trained: DetectorResult, off: float = 0.0) -> int:
    at: Score = trained.scores[-1]
    common = {name: workplace.common[name] for name in ("data", "classes", "detector")}
    request = ExportRequest(
        key=KEY,
        architecture=workplace.common["architecture"],
        weights=trained.weights,
        resolution=at.resolution,
        expected_map=at.map + off,
        base=workplace.common["architecture"],
        base_weights=trained.weights,
        base_resolution=trained.scores[0].resolution,
        **common,
    )
    return jobs.run("export", workplace.put(request))


def test_the_folder_holds_what_is_taken_away(workplace: Workplace, trained: DetectorResult) -> None:
    assert _export(workplace, trained) == 0
    result = workplace.result(KEY, ExportResult)
    assert set(result.files) == FILES
    assert all(workplace.store.size(f.key) == f.size for f in result.files.values())
    assert result.map == trained.scores[-1].map
    times = (result.student_latency, result.base_latency, result.base_latency_same_resolution)
    assert [str(time.resolution) for time in times if time] == ["64x64", "48x48", "64x64"]
    assert all(time and time.milliseconds > 0 for time in times)


def test_a_folder_that_scores_otherwise_than_the_record_is_not_published(
    workplace: Workplace, trained: DetectorResult, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _export(workplace, trained, off=0.01) == 1
    assert "the record says" in capsys.readouterr().err
    assert load_record(workplace.store, f"{KEY}/result.json", ExportResult) is None
    assert not FILES & {key.rpartition("/")[2] for key in workplace.store.list(f"{KEY}/")}


def test_asked_to_stop_it_ends_without_a_result(
    workplace: Workplace, trained: DetectorResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Interruption) -> None:
        raise Interrupted

    monkeypatch.setattr(Interruption, "check", interrupted)
    assert _export(workplace, trained) == 75
    assert load_record(workplace.store, f"{KEY}/result.json", ExportResult) is None
