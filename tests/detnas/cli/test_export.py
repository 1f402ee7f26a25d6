"""`detnas export`: finds detectors of a search, has them exported, and copies the files."""

import json
import shutil
import sys
from functools import partial

import pytest

from detnas.cli import main
from detnas.lifecycle.later_exports import ExportChoice, later_exports
from detnas.lifecycle.outcome import detectors_of
from detnas.lifecycle.reading.state import SearchReader
from detnas.plan.front import pareto_front
from detnas.records import keys
from detnas.records.exports import ExportFormat, ExportSettings, FilePrecision
from detnas.records.results import ExportResult
from detnas.runner.export_run import ExportRun
from detnas.store.artifacts import create_record, load_record
from tests.detnas.searches.local_run import FAKE_TRAINER, LocalSearch


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A finished search of a few trials."""
    found = LocalSearch(tmp_path_factory.mktemp("search"))
    found.write(trials=6, warmupTrials=1)
    found.run()
    return found


@pytest.fixture
def detnas(monkeypatch, capsys, search):
    trainer = (*FAKE_TRAINER, str(search.folder))
    monkeypatch.setenv("DETNAS_CACHE", str(search.folder / "cache"))
    monkeypatch.setenv("COLUMNS", "300")  # so that no path is cut
    module = sys.modules["detnas.cli.detectors.export.command"]
    monkeypatch.setattr(module, "ExportRun", partial(ExportRun, trainer=trainer))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["detnas", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def uri(search):
    return search.open().uri


def starts(search):
    return (search.folder / "starts.txt").read_text().count("/exports/")


def test_export_of_a_finished_search_copies_its_detector(detnas, search, tmp_path):
    code, out, err = detnas(uri(search), "--to", tmp_path / "best")
    assert code == 0, err
    assert "detector.pth" in out
    assert (tmp_path / "best" / "detector.pth").stat().st_size > 0


def test_export_of_a_trial_requests_its_own_weights(detnas, search, tmp_path):
    opened = search.open()
    state = SearchReader(opened.store, opened.requests).read()
    best = state.history.summary.best
    assert best is not None
    assert best.best is not None
    code, out, err = detnas(
        uri(search), "--trial", best.index, "--to", tmp_path / "one",
        "--format", "onnx,openvino", "--precision", "fp32,int8", "-o", "json",
    )  # fmt: skip
    assert code == 0, err
    (found,) = json.loads(out).values()
    assert found["map"] == pytest.approx(best.best.map)
    assert [(file["format"], file["precision"]) for file in found["files"]] == [
        ("Onnx", "FP32"), ("Onnx", "INT8"), ("OpenVINO", "FP32"), ("OpenVINO", "INT8"),
    ]  # fmt: skip
    assert found["files"][1]["remark"] == "its mAP is too low"


def test_second_export_of_the_same_runs_nothing(detnas, search, tmp_path):
    words = (uri(search), "--to", tmp_path, "--format", "onnx", "--precision", "fp16")
    assert detnas(*words)[0] == 0
    before = starts(search)
    assert detnas(*words)[0] == 0
    assert starts(search) == before


def test_result_that_names_a_path_is_repeated_and_nothing_is_written_there(
    detnas, search, tmp_path
):
    settings = ExportSettings(formats=(ExportFormat.OPENVINO,))
    (one,) = later_exports(search.open(), ExportChoice(), settings)
    words = (uri(search), "--to", tmp_path / "in", "--format", "openvino")
    assert detnas(*words)[0] == 0
    store, key = search.open().store, keys.result_key(one.request.key)
    result = load_record(store, key, ExportResult)
    assert result is not None
    files = {f"../{name}": file for name, file in result.files.items()}
    store.delete(key)
    create_record(store, key, result.model_copy(update={"files": files}))
    before = starts(search)
    assert detnas(*words)[0] == 0
    assert starts(search) == before + 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_file_replaced_by_another_attempt_is_told_and_the_export_repeated(detnas, search, tmp_path):
    settings = ExportSettings(formats=(ExportFormat.ONNX,), tolerance="0.5")
    (one,) = later_exports(search.open(), ExportChoice(), settings)
    words = (uri(search), "--to", tmp_path, "--format", "onnx", "--tolerance", "0.5")
    assert detnas(*words)[0] == 0
    store = search.open().store
    result = load_record(store, keys.result_key(one.request.key), ExportResult)
    assert result is not None
    (file,) = result.files.values()
    stored = store.get(file.key)
    assert stored is not None
    store.put(file.key, bytes(len(stored.data)))  # of the same size
    shutil.rmtree(search.folder / "cache")
    code, _, err = detnas(*words)
    assert code == 1
    assert "run the same command again" in err
    assert detnas(*words)[0] == 0


def test_front_has_a_folder_for_each_detector(detnas, search, tmp_path):
    opened = search.open()
    front = pareto_front(detectors_of(SearchReader(opened.store, opened.requests).read()))
    assert detnas(uri(search), "--front", "--to", tmp_path)[0] == 0
    folders = {path.parent.name for path in tmp_path.glob("*/detector.pth")}
    assert folders == {"base" if one.trial is None else f"trial-{one.trial:04d}" for one in front}


def test_base_is_exported_to_be_compared_with(detnas, search, tmp_path):
    code, out, err = detnas(uri(search), "--base", "--to", tmp_path / "base", "-o", "json")
    assert code == 0, err
    (found,) = json.loads(out).values()
    opened = search.open()
    base = SearchReader(opened.store, opened.requests).read().base
    assert base is not None
    assert found["map"] in [score.map for score in base.scores]


def test_failed_export_says_why_and_the_next_try_succeeds(detnas, search, tmp_path):
    before = starts(search)
    words = (uri(search), "--to", tmp_path, "--format", "torch", "--precision", "fp16")
    search.faults({key_of(search): ["exit 1"]})
    code, _, err = detnas(*words)
    assert code == 1
    assert "ended without a result" in err
    assert detnas(*words)[0] == 0
    assert starts(search) == before + 2


def key_of(search):
    settings = ExportSettings(formats=(ExportFormat.TORCH,), precisions=(FilePrecision.FP16,))
    (one,) = later_exports(search.open(), ExportChoice(), settings)
    return one.request.key


def test_collected_weights_are_named_with_the_trials_that_are_kept(detnas, search, tmp_path):
    opened = search.open()
    state = SearchReader(opened.store, opened.requests).read()
    front = {point.index for point in state.history.summary.front}
    gone = next(
        entry
        for entry in state.history.unsegmented.values()
        if entry.weights and entry.index not in front
    )
    assert gone.weights is not None
    stored = opened.store.root / gone.weights.key
    content = stored.read_bytes() if stored.exists() else None
    stored.unlink(missing_ok=True)
    code, _, err = detnas(uri(search), "--trial", gone.index, "--to", tmp_path)
    if content is not None:
        stored.write_bytes(content)
    assert code == 2
    assert f"trial-{gone.index:04d}: its weights are no longer in" in err
    assert "spec.retention.weights" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trial", "99"), "no finished trial 99"),
        (("--trial", "1", "--front"), "--trial and --front are both given"),
        (("--before-finetuning",), "--before-finetuning needs a trial"),
        (("--base", "--front"), "--front and --base are both given"),
        (("--scored-images", "0"), "--scored-images"),
        (("--format", "onnx,tensorrt"), "--format: 'tensorrt'"),
        (("--precision", ""), "it may be of: fp32, fp16, int8"),
        (("--format", "torch", "--precision", "int8"), "no precision INT8"),
        (("--tolerance", "2", "--format", "onnx"), "tolerance"),
    ],
)
def test_wrong_input_is_named(detnas, search, tmp_path, words, said):
    code, _, err = detnas(uri(search), "--to", tmp_path, *words)
    assert code == 2
    assert said in err.replace("\n", " ")


def test_search_without_a_base_has_nothing_to_export(detnas, tmp_path):
    other = LocalSearch(tmp_path / "other", name="other")
    code, _, err = detnas(other.folder / "search.yaml", "--to", tmp_path)
    assert code == 2
    assert "has not started" in err
