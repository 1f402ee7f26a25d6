"""Data that changes under a search, with real training: it stops until the old data is back."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.commands import SECONDS, run, start, wait_until
from tests.e2e.search_folder import SearchFolder
from tests.trainer.conftest import write_data_set

pytestmark = pytest.mark.slow
TRAINING = {"epochs": 1, "learningRate": "0.01", "batchSize": 4}
MANIFEST: dict[str, Any] = {
    "apiVersion": "detnas.dev/v1alpha1",
    "kind": "DetNASSearch",
    "metadata": {"name": "tiny"},
    "spec": {
        "dataset": {
            "source": {"directory": "data"},
            "train": "train.json",
            "val": "val.json",
            "trainImages": "train",
            "valImages": "val",
        },
        "resolutions": ["64x64"],
        "detector": {"neck": 8, "fc": 16, "proposals": 20, "roiSamples": 16, "anchorScale": 2},
        "base": {
            "family": "Basic",
            "stem": 8,
            "architecture": "[(8, 8)], [(8, 12)], [(8, 12)], [(8, 16)]",
            "train": TRAINING | {"warmupIterations": 0},
        },
        "teachers": {
            "supernet": {
                "family": "Basic",
                "stem": 8,
                "inner": [8, 8, 8, 8],
                "outputs": [8, 8, 12, 16],
                "neck": 8,
            },
            "depths": {"min": [1, 1, 1, 1], "max": [1, 1, 1, 1]},
            "widths": ["1.0"],
            "batchSize": 4,
            "warmupIterations": 0,
            "bnImages": 4,
            "phases": [{"epochs": 1, "learningRate": "0.01"}],
        },
        "search": {"trials": 1, "topK": 1, "warmupTrials": 0},
        "evaluation": TRAINING,
    },
}


def test_run_stops_on_changed_data_and_continues_with_the_old(tmp_path: Path) -> None:
    search = SearchFolder(tmp_path / "search.yaml", tmp_path / "store")
    write_data_set(tmp_path / "data")
    write(search, trials=1)
    command = ("run", search.manifest, "--store", search.store)
    first = run(*command)
    assert first.returncode == 0, first.stderr
    finished = search.stamps()

    labels = tmp_path / "data" / "train.json"
    old = labels.read_bytes()
    document = json.loads(old)
    labels.write_text(json.dumps({**document, "annotations": document["annotations"][:8]}))
    refused = run(*command)
    said = f"the training annotations {labels} have changed"
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "exported" not in refused.stdout
    assert said in run("status", search.path).stdout
    assert search.stamps() == finished

    labels.write_bytes(old)
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert search.stamps() == finished

    write(search, trials=2)
    image = tmp_path / "data" / "val" / "3.png"
    old = image.read_bytes()
    trial = search.path / "trials" / "0001"
    log = tmp_path / "log.txt"
    process = start(*command, log=log)
    try:
        wait_until((trial / "attempts" / "1" / "attempt.json").exists, process, log)
        replace(image, old[::-1])
        assert process.wait(SECONDS) == 1, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert f"1 of 6 validation images has changed (first {image})" in log.read_text()
    assert not (trial / "result.json").exists()

    replace(image, old)
    last = run(*command)
    assert last.returncode == 0, last.stderr
    assert {name: result["outcome"] for name, result in search.results().items()} == {
        "0000": "Succeeded",
        "0001": "Succeeded",
    }


def write(search: SearchFolder, trials: int) -> None:
    spec = MANIFEST["spec"]
    changed = {**spec, "search": {**spec["search"], "trials": trials}}
    search.manifest.write_text(yaml.safe_dump({**MANIFEST, "spec": changed}))


def replace(path: Path, content: bytes) -> None:
    """Give a file other content at once, and its old date."""
    then = path.stat()
    new = path.with_name("new")
    new.write_bytes(content)
    os.utime(new, ns=(then.st_atime_ns, then.st_mtime_ns))
    new.replace(path)
