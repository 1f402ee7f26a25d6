"""`detnas bench`: what it times, in which order, and what it prints."""

import hashlib
import json
import subprocess
import sys
from itertools import cycle

import numpy as np
import pytest
from PIL import Image

from detnas.exported import ExportedDetector, load_description
from detnas.exported.benchmark import FileRuns, digest_of, parts_of, time_in_turns
from detnas.exported.runtimes import RawDetections
from detnas.records.benchmark import Benchmark
from detnas.records.exports import ExportFormat
from tests.detnas.exported.test_detector import annotate, image, write_folder

DETNAS = [sys.executable, "-c", "from detnas.cli import main; main()"]


def bench(*words):
    return subprocess.run(
        [*DETNAS, "bench", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path):
    """An exported folder with two annotated images, of which the detector finds one right."""
    write_folder(tmp_path)
    annotate(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    return tmp_path


def named(folder, name, calls):
    """A detector that notes whose turn it is, and finds nothing."""
    description = load_description(folder)

    def run(images, sizes):
        calls.append(name)
        count = len(images)
        nothing = np.zeros((count, 0), np.float32)
        return RawDetections(np.zeros((count, 0, 4), np.float32), nothing, nothing.astype(np.int64))

    return ExportedDetector(description, description.files[0], run)


def test_files_take_turns_image_by_image(folder):
    calls: list[str] = []
    detectors = [named(folder, name, calls) for name in ("base", "student")]
    done = []
    time_in_turns(detectors, [image(40, 60)], 4, warm_up=2, progressed=lambda: done.append(1))
    assert calls == ["base", "student"] * 6
    assert len(done) == 6


def test_warm_up_is_not_timed(folder):
    ends = cycle([0.0, 5.0])  # each run takes 5 s by this clock
    detectors = [named(folder, "one", [])]
    (runs,) = time_in_turns(detectors, [image(40, 60)], 3, warm_up=2, clock=lambda: next(ends))
    assert runs.seconds == (5.0, 5.0, 5.0)


def test_latency_has_median_and_the_time_that_nine_of_ten_runs_keep():
    latency = FileRuns(tuple(number / 1000 for number in range(1, 11))).latency(2, "a processor")
    assert (latency.median, latency.p90) == pytest.approx((5.5, 9))
    assert (latency.runs, latency.threads, latency.device) == (10, 2, "a processor")


@pytest.mark.parametrize(
    ("seconds", "drift"),
    [
        ((1.0,) * 9, 0.0),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5), 0.5),
        ((1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0, 1.0), 0.0),  # a single slow run is no trend
        ((2.0, 1.0), -0.5),
    ],
)
def test_drift_compares_the_last_third_with_the_first(seconds, drift):
    assert FileRuns(seconds).drift == pytest.approx(drift)


def test_json_names_device_threads_file_and_map(folder):
    file = folder / "detector.onnx"
    options = ("--images", folder, "--annotations", folder / "val.json", "--threads", 1)
    done = bench(file, file, *options, "--runs", 6, "-o", "json")
    assert done.returncode == 0, done.stderr
    found = Benchmark.model_validate_json(done.stdout)
    assert (found.threads, found.images, found.annotated) == (1, 2, 2)
    assert found.device
    first, second = found.files
    assert (first.sha256, second.sha256) == (hashlib.sha256(file.read_bytes()).hexdigest(),) * 2
    assert first.bytes == file.stat().st_size
    assert first.map == pytest.approx(0.1 + 0.9 * 51 / 101, abs=1e-6)
    assert str(first.resolution) == "96x64"
    assert first.runtime.startswith("onnxruntime 1.")
    assert 0 < first.latency.median <= first.latency.p90
    assert first.fps == pytest.approx(1000 / first.latency.median)


def test_table_says_what_was_measured_and_that_noise_is_no_photograph(folder):
    done = bench(folder / "detector.onnx", "--runs", 3)
    assert done.returncode == 0, done.stderr
    assert "median ms" in done.stdout
    assert "Onnx FP32" in done.stdout
    assert "3 runs each, noise: give --images" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("detector.onnx", "--annotations", "val.json"), "--annotations needs their images"),
        (("detector.onnx", "--images", "nowhere"), "nowhere is no folder"),
        (("detector.onnx", "--images", "empty"), "empty has no image"),
        (("missing.onnx",), "describes no file 'missing.onnx'"),
    ],
)
def test_what_cannot_be_measured_is_named(folder, monkeypatch, words, said):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    done = bench(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_digest_of_an_openvino_file_is_that_of_its_weights(tmp_path):
    (tmp_path / "detector.xml").write_bytes(b"<net/>")
    (tmp_path / "detector.bin").write_bytes(b"weights")
    parts = parts_of(tmp_path / "detector.xml", ExportFormat.OPENVINO)
    assert [part.name for part in parts] == ["detector.xml", "detector.bin"]
    assert digest_of(parts[-1]) == hashlib.sha256(b"weights").hexdigest()


def test_machine_that_slows_down_is_flagged(folder):
    done = bench(folder / "detector.onnx", "--runs", 3, "-o", "json")
    found = Benchmark.model_validate_json(done.stdout).files[0]
    assert found.model_copy(update={"drift": 0.2}).is_throttled
    assert not found.model_copy(update={"drift": 0.05}).is_throttled
    assert json.loads(done.stdout)["images"] == 0
