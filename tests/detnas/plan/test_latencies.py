"""Latencies of exports, and of `detnas bench`."""

from hashlib import sha256
from typing import Any

import pytest

from detnas.plan.latencies import FinishedExport, benchmarked_latencies, exported_latencies
from detnas.records.artifacts import Artifact
from detnas.records.benchmark import Benchmark, BenchmarkedFile
from detnas.records.exports import ExportedFile, ExportFormat, FileLatency, FilePrecision
from detnas.records.results import ExportResult, Latency
from tests.detnas.trials import LARGE, SMALL, START


def digest_of(content: str) -> str:
    return sha256(content.encode()).hexdigest()


def export(trial: int | None = 7, **changes: Any) -> FinishedExport:
    base = Latency(resolution=SMALL, milliseconds=12.0, device="CPU")
    files = {
        name: Artifact(key=f"best/{name}", size=10, sha256=digest_of(name))
        for name in ("detector.pth", "detector-int8.onnx")
    }
    fields = {
        "started": START,
        "finished": START,
        "student_latency": Latency(resolution=SMALL, milliseconds=7.0, device="CPU"),
        "base_latency": base.model_copy(update={"resolution": LARGE, "milliseconds": 17.0}),
        "base_latency_same_resolution": base,
        "files": files,
        **changes,
    }
    return FinishedExport(trial, finetuned=True, resolution=SMALL, result=ExportResult(**fields))


def timed(content: str, mean_ap: float | None = None) -> BenchmarkedFile:
    return BenchmarkedFile(
        file="here/detector.onnx",
        format=ExportFormat.ONNX,
        precision=FilePrecision.INT8,
        sha256=digest_of(content),
        bytes=10,
        runtime="onnxruntime 1.0",
        resolution=SMALL,
        latency=FileLatency(median=30.0, p90=33.0, runs=50, threads=4, device="Pi"),
        warm_up=5,
        drift=0.0,
        map=mean_ap,
    )


def benchmark(*files: BenchmarkedFile) -> Benchmark:
    return Benchmark(device="Pi", threads=4, measured=START, images=1, files=files)


def test_export_has_timed_student_and_base() -> None:
    found = [
        (one.trial, one.finetuned, one.resolution, one.milliseconds, one.map)
        for one in exported_latencies([export()])
    ]
    assert found == [
        (None, False, LARGE, 17.0, None),
        (None, False, SMALL, 12.0, None),
        (7, True, SMALL, 7.0, None),
    ]


def test_exported_file_counts_with_its_own_accuracy() -> None:
    int8 = ExportedFile(
        path="detector-int8.onnx",
        format=ExportFormat.ONNX,
        precision=FilePrecision.INT8,
        map=0.38,
        map_error=0.01,
        latency=FileLatency(median=4.0, p90=5.0, runs=50, threads=2, device="CPU"),
    )
    *_, one = exported_latencies([export(exported=(int8,))])
    assert (one.trial, one.finetuned, one.resolution, one.milliseconds) == (7, True, SMALL, 4.0)
    assert (one.file, one.map, one.map_error) == ("detector-int8.onnx", 0.38, 0.01)


def test_file_scored_on_some_images_counts_with_what_it_loses_on_them() -> None:
    """Its mAP is compared with those of detectors that were scored on all images."""
    int8 = ExportedFile(
        path="detector-int8.onnx",
        format=ExportFormat.ONNX,
        map=0.46,
        images=1000,
        difference=-0.01,
        latency=FileLatency(median=4.0, p90=5.0, runs=50, threads=2, device="CPU"),
    )
    *_, one = exported_latencies([export(map=0.4, exported=(int8,))])
    assert one.map is not None
    assert round(one.map, 6) == 0.39


def test_export_of_the_base_names_it_once_for_each_resolution() -> None:
    same = Latency(resolution=SMALL, milliseconds=12.0, device="CPU")
    alike = dict.fromkeys(("student_latency", "base_latency", "base_latency_same_resolution"), same)
    found = list(exported_latencies([export(None, **alike)]))
    assert [(one.trial, one.milliseconds) for one in found] == [(None, 12.0)]


def test_benchmarked_file_is_the_export_with_its_content() -> None:
    known, others = benchmarked_latencies(
        benchmark(timed("detector-int8.onnx"), timed("another")), [export()]
    )
    (one,) = known
    assert (one.trial, one.finetuned, one.milliseconds) == (7, True, 30.0)
    assert one.device == "Pi, 4 threads"
    assert (one.resolution, one.map) == (SMALL, None)
    assert [other.sha256 for other in others] == [digest_of("another")]


def test_benchmarked_file_that_the_export_did_not_score_has_the_accuracy_of_the_benchmark() -> None:
    measured = timed("detector-int8.onnx", 0.36)
    (one,), _ = benchmarked_latencies(benchmark(measured), [export()])
    assert (one.map, one.map_error) == (0.36, None)


@pytest.mark.parametrize("weights", ["detector-int8.onnx", "detector-int8.bin"])
@pytest.mark.parametrize("mean_ap", [None, 0.2])
def test_benchmarked_file_has_the_accuracy_that_its_export_measured(
    weights: str, mean_ap: float | None
) -> None:
    """On the images of the search, whatever images the benchmark had."""
    path = weights.replace(".bin", ".xml")  # of an OpenVINO IR, its weights are recognised
    int8 = ExportedFile(path=path, format=ExportFormat.ONNX, map=0.38, map_error=0.01)
    artifact = Artifact(key=f"best/{weights}", size=10, sha256=digest_of(weights))
    exported = export(exported=(int8,), files={weights: artifact})
    (one,), _ = benchmarked_latencies(benchmark(timed(weights, mean_ap)), [exported])
    assert (one.map, one.map_error) == (0.38, 0.01)
