"""The bench of a GPU: all parts without one, what a failed part does, and what is carried along."""

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import NoReturn

import pytest

from bench.gpu import packing
from bench.gpu.figures import Figures, read_lines, table

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_part_is_measured_in_small_without_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.gpu", "run", "--device", "cpu", "--thin", "--out"]
    done = subprocess.run(
        [*command, tmp_path], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = read_lines(tmp_path / "figures.jsonl")
    figures = {line["figure"] for line in lines}
    assert {
        "train loop over mmdet's runner",
        "speed in bfloat16 over that in 32 bits",
        "distillation over plain step and teacher",
        "detected boxes without an equal",
        "supernet over plain",
        "random subnet over that subnet alone",
        "start to the end of the first step",
        "last step to result, without evaluation",
        "loss after the retry against one in halves",
    } <= figures
    assert not any("failed" in line for line in lines)
    assert all(line["met"] for line in lines if "met" in line), "only correctness has aims here"
    assert done.stdout.rstrip().endswith((tmp_path / "figures.txt").read_text().rstrip())


def test_failed_part_is_reported_and_the_next_one_measured(tmp_path: Path) -> None:
    from bench.gpu.running import Part, _run
    from bench.gpu.scale import Scale, thin_scale

    def fails(*_: object) -> NoReturn:
        raise ValueError("the card is on fire")

    def hangs(*_: object) -> None:
        time.sleep(60)

    def works(figures: Figures, _scale: Scale, _folder: Path) -> None:
        figures.add("speed", 3, "images/s")

    file = tmp_path / "figures.jsonl"
    for part in (Part("a", 5, fails), Part("b", 0.05, hangs), Part("c", 5, works)):
        _run(part, Figures(part.name, file), thin_scale("cpu"))
    lines = read_lines(file)
    assert [line.get("failed") for line in lines] == [
        "ValueError: the card is on fire",
        "took more than 0.05 s",
        None,
        None,
    ]
    assert lines[2]["figure"] == "speed"
    assert "took more than 0.05 s" in table(lines)


def test_figure_of_correctness_that_is_not_a_number_fails_its_part(tmp_path: Path) -> None:
    figures = Figures("a", tmp_path / "figures.jsonl")
    with pytest.raises(AssertionError, match="losses: nan, at most 0.1 is right"):
        figures.require("losses", float("nan"), at_most=0.1)


def test_archive_holds_what_the_other_machine_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_fetch", lambda *_: None)  # it needs a package index
    archive = packing.pack(tmp_path, "3.12")
    with tarfile.open(archive) as content:
        names = set(content.getnames())
    assert {"mmdet/__init__.py", "mmcv/__init__.py", "mmengine/runner/runner.py"} <= names
    assert {"pydantic/main.py", "imgaug/__init__.py"} <= names
    assert any(name.startswith("onedl_mmdetection-") for name in names), "versions are looked up"
    assert not any(".mim" in name for name in names)
    assert archive.stat().st_size < 16 << 20
    assert (packing.unpack(tmp_path, tmp_path / "there") / "mmdet" / "__init__.py").is_file()
