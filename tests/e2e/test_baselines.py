"""Baselines of a finished search: trained by the real trainer, killed on the way."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from detnas.architecture import Architecture
from detnas.cost import detector_cost
from detnas.records.settings import DetectorShape, Resolution
from tests.e2e.commands import read_json, run, start, wait_until
from tests.e2e.search_folder import SearchFolder

pytestmark = pytest.mark.slow
NAMES = {"continued": "continued base", "pruned": "one-shot pruned", "scaled": "scaled"}


def with_baselines(finished: SearchFolder, folder: Path) -> SearchFolder:
    """The finished search in another folder, with all baselines asked for."""
    moved = folder / "moved"
    shutil.copytree(finished.manifest.parent, moved, ignore=shutil.ignore_patterns(".detnas"))
    search = SearchFolder(moved / finished.manifest.name, moved / finished.store.name)
    document = yaml.safe_load(search.manifest.read_text())
    document["spec"]["baselines"] = ["ContinuedBase", "OneShotPruned", "Scaled"]
    search.manifest.write_text(yaml.safe_dump(document))
    return search


def flops(search: SearchFolder, architecture: object) -> int:
    spec = yaml.safe_load(search.manifest.read_text())["spec"]
    size = Resolution.model_validate(spec["resolutions"][-1])
    shape = DetectorShape.model_validate(spec["detector"])
    backbone = Architecture.model_validate(architecture)
    return detector_cost(backbone, shape, 10, size).flops


def test_baselines_of_a_finished_search_resume_after_a_kill(
    digits: SearchFolder, tmp_path: Path
) -> None:
    search = with_baselines(digits, tmp_path)
    before = search.stamps("**/trials/**/*")
    arguments = ("run", search.manifest, "--store", search.store)
    log = tmp_path / "output.txt"
    process = start(*arguments, log=log, DETNAS_CHECKPOINT_SECONDS="0")
    try:
        wait_until(
            lambda: any(search.path.glob("baselines/*/attempts/1/checkpoint.json")), process, log
        )
    finally:
        process.kill()
        process.wait()
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert search.stamps("**/trials/**/*") == before

    attempts = [
        json.loads(path.read_text())
        for path in search.path.glob("baselines/*/attempts/2/attempt.json")
    ]
    assert any(attempt.get("resumedAt", 0) > 0 for attempt in attempts)
    requests = {name: search.record(f"baselines/{name}/request.json") for name in NAMES}
    results = {name: search.record(f"baselines/{name}/result.json") for name in NAMES}
    assert {one["outcome"] for one in results.values()} == {"Succeeded"}
    epochs = {one["training"]["epochs"] for one in requests.values()}
    assert len(epochs) == 1
    steps = {one["iterations"] for one in results.values()}
    assert steps == {2 * epochs.pop()}, "8 images in batches of 4"
    assert "loss_distill_feature" in results["pruned"]["finalLoss"]
    assert "loss_distill_feature" not in results["scaled"]["finalLoss"]
    smaller = requests["pruned"]["action"]["flops"]
    assert flops(search, results["pruned"]["architecture"]) <= smaller
    assert flops(search, results["scaled"]["architecture"]) <= smaller

    rows = {one["name"]: one for one in read_json("status", search.path)["compared"]}
    for name in NAMES.values():
        assert rows[name]["lead"]["low"] <= rows[name]["lead"]["high"]
    assert "lead" in again.stdout
