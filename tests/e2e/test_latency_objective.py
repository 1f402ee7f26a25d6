"""A search whose H counts latencies, killed half way: every architecture keeps its value."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import start, wait_until
from tests.e2e.data_sets import digits_manifest, write_manifest
from tests.e2e.search_folder import SearchFolder
from tests.trainer.conftest import write_data_set

pytestmark = pytest.mark.slow
TRIALS = 3


@pytest.fixture
def search(tmp_path: Path) -> SearchFolder:
    """A search of seconds on a dozen tiny images."""
    write_data_set(tmp_path / "shapes")
    manifest = digits_manifest()
    spec = manifest["spec"]
    spec["dataset"] = {
        "source": {"directory": "shapes"},
        "train": "train.json",
        "val": "val.json",
        "trainImages": "train",
        "valImages": "val",
    }
    spec["resolutions"] = ["48x48", "64x64"]
    spec["base"]["train"] |= {"epochs": 1, "warmupIterations": 0}
    spec["teachers"]["phases"] = [{"epochs": 1, "learningRate": "0.02"}]
    spec["search"] |= {"objective": "Latency", "trials": TRIALS, "topK": 1}
    del spec["finetune"]
    return SearchFolder(write_manifest(tmp_path, manifest), tmp_path / "store")


def test_killed_search_ends_with_one_latency_for_each_architecture(
    search: SearchFolder, tmp_path: Path
) -> None:
    log = tmp_path / "output.txt"
    arguments = ("run", search.manifest, "--store", search.store)
    process = start(*arguments, log=log)
    try:
        wait_until(lambda: _has_begun(search), process, log)
    finally:
        process.kill()
        process.wait()
    measured, scored = search.stamps("**/latencies/*.json"), _latencies(search)
    assert len(measured) >= 3, "the device, and the base at two resolutions"

    again = start(*arguments, log=log)
    try:
        wait_until(lambda: len(search.results()) == TRIALS, again, log)
    finally:
        again.kill()
        again.wait()
    after, found = search.stamps("**/latencies/*.json"), _latencies(search)
    assert {name: after[name] for name in measured} == measured
    assert {name: found[name] for name in scored} == scored
    assert len(found) == TRIALS + 1
    architectures = {architecture for architecture, _ in found.values()}
    assert len(set(found.values())) == len(architectures), "one architecture has several values"
    assert len(after) == 1 + 2 * len(architectures)
    assert found["base"][1] == (1.0, 1.0)


def _has_begun(search: SearchFolder) -> bool:
    """Whether the base is measured, and two trials have been requested."""
    return len(list(search.store.glob("local/searches/*/trials/*/request.json"))) > 1


def _latencies(search: SearchFolder) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Architecture, and its latency relative to the base's at each resolution, of each result."""
    results = dict(search.results())
    results["base"] = search.record("base/result.json")
    return {name: (json.dumps(r["architecture"]), _relative(r)) for name, r in results.items()}


def _relative(result: dict[str, Any]) -> tuple[float, ...]:
    measured = [score["latency"] for score in result["scores"]]
    return tuple(one["milliseconds"] / one["baseMilliseconds"] for one in measured)
