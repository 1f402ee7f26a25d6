"""`detnas export`, `bench` and `push` on a real search, as a user types them."""

import json
from pathlib import Path

import pytest

from detnas.store import open_store
from tests.e2e.commands import read_json, run
from tests.e2e.search_folder import SearchFolder
from tests.seaweed import S3Server

pytestmark = pytest.mark.slow


def test_exported_files_are_scored_benchmarked_and_ready_for_the_hub(
    digits: SearchFolder, tmp_path: Path
) -> None:
    best = tmp_path / "best"
    options = ("--format", "onnx,torch", "--precision", "fp32,int8", "--calibration-images", "4")
    (shown,) = read_json("export", digits.path, "--to", best, *options).values()
    files = {file["path"]: file for file in shown["files"]}
    assert set(files) == {"detector.pth", "detector.onnx", "detector-int8.onnx", "detector.pt2"}
    # A program of torch takes no image as small as these: they are padded for it.
    for name, tolerance in {"detector.onnx": 1e-3, "detector.pt2": 0.02}.items():
        assert files[name]["difference"] == pytest.approx(0, abs=tolerance), name
        assert files[name]["map"] == pytest.approx(shown["map"], abs=tolerance), name
    assert json.loads((best / "detector.json").read_text())["files"] == shown["files"]

    data = digits.record("students/best/request.json")["data"]
    images, annotations = (Path(data["root"]) / data[name] for name in ("valImages", "val"))
    own = (best / "detector.onnx", best / "detector.pth")
    found = read_json(
        *("bench", *own, "--images", images, "--annotations", annotations, "--runs", "3")
    )
    assert [one["map"] for one in found["files"]] == pytest.approx([shown["map"]] * 2, abs=1e-3)

    pushed = run("push", best, "team/digits", "--dry-run")
    assert pushed.returncode == 0, pushed.stderr
    assert "detector-int8.onnx" in pushed.stdout


def test_search_in_s3_is_exported_from_there(
    digits: SearchFolder, tmp_path: Path, s3_environment: S3Server
) -> None:
    uri = f"s3://{s3_environment.bucket}/{tmp_path.name}"
    store = open_store(uri)
    for path in digits.store.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            store.upload_file(str(path.relative_to(digits.store)), path)
    base = tmp_path / "base"
    search = f"{uri}/local/searches/{digits.path.name}"
    done = run("export", search, "--base", "--to", base, "--format", "onnx")
    assert done.returncode == 0, done.stderr
    assert (base / "detector.onnx").stat().st_size > 0
    assert (
        "the base detector itself, with which the search began" in (base / "README.md").read_text()
    )
    assert any("/exports/base-" in key for key in store.list("local/"))
