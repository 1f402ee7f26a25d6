"""`detnas recommend` of a search that has ended."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ended

from detnas.cli.app import app
from detnas.errors import UserError
from detnas.lifecycle.record import StoredSearch
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.benchmark import Benchmark, BenchmarkedFile
from detnas.records.exports import ExportFormat, FileLatency, FilePrecision
from detnas.records.results import ExportResult, Result
from detnas.records.verbs import Verb
from detnas.store import open_store
from detnas.store.artifacts import load_record
from tests.detnas.searches.in_process import Scheduler, status, tiny


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> StoredSearch:
    folder: Path = tmp_path_factory.mktemp("recommend")
    found = tiny(open_store((folder / "store").as_uri()), "one", trials=8)

    def with_file(result: Result) -> Result:
        key = f"{keys.export_folder(found.requests.search)}/detector.onnx"
        found.store.put(key, b"weights")
        digest = sha256(b"weights").hexdigest()
        file = Artifact(key=key, size=len(b"weights"), sha256=digest)
        return result.model_copy(update={"files": {"detector.onnx": file}})

    Scheduler(folder, answers={Verb.EXPORT: with_file}).run(found)
    return found


def detnas(*words: str) -> Ended:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["recommend", *words])


def test_recommend_names_the_detector_and_the_front(search: StoredSearch) -> None:
    front = status(search).front
    ended = detnas(search.uri, "--max-flops", "1e15")
    assert ended.exit_code == 0
    assert f"highest mAP within 1e+06 GFLOPs: {front[-1].name} at" in ended.stdout
    assert "Pareto front" in ended.stdout


def test_recommend_prints_json_for_programs(search: StoredSearch) -> None:
    ended = detnas(search.uri, "--min-map", "0.001", "-o", "json")
    assert ended.exit_code == 0
    found = json.loads(ended.stdout)
    front = status(search).front
    assert [one["flops"] for one in found["front"]] == [one.flops for one in front]
    assert found["recommended"][0]["detector"]["flops"] == front[0].flops


def test_recommend_exits_1_if_none_fits(search: StoredSearch) -> None:
    ended = detnas(search.uri, "--max-latency-ms", "0.001")
    assert ended.exit_code == 1
    assert "no detector takes at most 0.001 ms; the fastest is" in ended.stdout


@pytest.mark.parametrize("words", [(), ("--device", "CPU")])
def test_recommend_without_limits_says_what_to_give(
    search: StoredSearch, words: tuple[str, ...]
) -> None:
    ended = detnas(search.uri, *words)
    assert isinstance(ended.exception, UserError)
    assert "give --max-latency-ms, --max-flops or --min-map" in str(ended.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-flops", "inf"), "--max-flops inf"),
        (("--max-latency-ms", "inf"), "--max-latency-ms 'Infinity': Input should be a finite"),
        (("--max-flops", "1e9", "--device", ""), "--device '': String should have at least 1"),
    ],
)
def test_recommend_names_a_limit_that_cannot_be_used(
    search: StoredSearch, words: tuple[str, ...], said: str
) -> None:
    ended = detnas(search.uri, *words)
    assert isinstance(ended.exception, UserError)
    assert str(ended.exception).startswith(said)


def benchmark(search: StoredSearch, folder: Path, *digests: str) -> Path:
    """What `detnas bench` could have found on another machine, of files with these digests."""
    files = [
        BenchmarkedFile(
            file=f"{number}.onnx",
            format=ExportFormat.ONNX,
            precision=FilePrecision.FP32,
            sha256=digest,
            bytes=10,
            runtime="onnxruntime 1.0",
            resolution=search.requests.spec.base_resolution,
            latency=FileLatency(median=31.0, p90=33.0, runs=50, threads=4, device="Pi"),
            warm_up=5,
            drift=0.0,
        )
        for number, digest in enumerate(digests)
    ]
    measured = datetime(2026, 1, 1, tzinfo=UTC)
    found = Benchmark(device="Pi", threads=4, measured=measured, images=1, files=tuple(files))
    path = folder / "pi.json"
    path.write_text(found.model_dump_json(by_alias=True))
    return path


def test_recommend_uses_what_was_measured_elsewhere(search: StoredSearch, tmp_path: Path) -> None:
    key = keys.result_key(keys.export_folder(search.requests.search))
    export = load_record(search.store, key, ExportResult)
    assert export is not None
    path = benchmark(search, tmp_path, "0" * 64, *[file.sha256 for file in export.files.values()])
    limits = ("--max-latency-ms", "40", "--device", "pi")
    assert "no latency on pi is known" in detnas(search.uri, *limits).stdout
    ended = detnas(search.uri, *limits, "--bench", str(path))
    assert ended.exit_code == 0
    assert f"trial {status(search).exported_trial} at" in ended.stdout
    assert "31 ms (1.onnx)" in ended.stdout
    assert "0.onnx is no export of this search" in ended.stderr


def test_recommend_names_a_benchmark_that_cannot_be_read(
    search: StoredSearch, tmp_path: Path
) -> None:
    path = tmp_path / "pi.json"
    for content, said in ((None, "No such file"), ("{}", "errors")):
        if content is not None:
            path.write_text(content)
        ended = detnas(search.uri, "--max-latency-ms", "40", "--bench", str(path))
        assert isinstance(ended.exception, UserError)
        assert said in str(ended.exception)
        assert "-o json" in str(ended.exception)
