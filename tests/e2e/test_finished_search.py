"""What a finished search gives its user."""

import json
import os
import subprocess
import sys
import sysconfig
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from detnas.architecture import Architecture
from detnas.cost import detector_cost
from detnas.records.settings import DetectorShape, Resolution
from tests.e2e.commands import SECONDS, read_json, run, run_program
from tests.e2e.search_folder import SearchFolder

pytestmark = pytest.mark.slow
SCORE = Path(__file__).with_name("score_exported.py")
REMOTE = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


def test_status_of_a_finished_search_shows_all_done(finished: SearchFolder) -> None:
    status = read_json("status", finished.path)
    assert status["phase"] == "Succeeded"
    assert status["trials"] == status["finished"] == 5
    assert status["outcomes"] == {"Succeeded": 5}
    assert status["active"] == []
    assert status["failures"] == []
    assert [trial.name for trial in finished.trials] == [f"{n:04d}" for n in range(5)]
    assert set(finished.results()) == {trial.name for trial in finished.trials}
    assert status["exportedTo"] == finished.exported.as_uri()


def test_status_of_a_finished_search_lists_the_best_trials_first(finished: SearchFolder) -> None:
    status = read_json("status", finished.path)
    top = status["top"]
    assert [trial["h"] for trial in top] == sorted((t["h"] for t in top), reverse=True)
    assert top[0]["number"] == status["bestTrial"]
    best = finished.results()[f"{status['bestTrial']:04d}"]
    assert status["best"]["map"] in [score["map"] for score in best["scores"]]
    assert status["best"]["h"] == top[0]["h"]


def test_status_accepts_manifest_or_folder(finished: SearchFolder) -> None:
    by_manifest = read_json("status", finished.manifest, "--store", finished.store)
    assert by_manifest == read_json("status", finished.path)


def test_finished_search_has_trained_every_phase(finished: SearchFolder) -> None:
    (pool,) = (finished.store / "local" / "pools").iterdir()
    results = [json.loads(p.read_text()) for p in sorted(pool.glob("phase-*/result.json"))]
    assert len(results) == 3
    assert all(result["iterations"] > 0 for result in results)


def test_finished_search_has_evolved_students(finished: SearchFolder) -> None:
    requests = [json.loads((trial / "request.json").read_text()) for trial in finished.trials]
    assert any("action" in request for request in requests)
    for request, result in zip(requests, finished.results().values(), strict=True):
        if "action" in request:
            assert result["architecture"] != request["parent"]


class _References(HTMLParser):
    """Collects what a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.remote: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        value = dict(attributes).get(REMOTE.get(tag, ""), None)
        if value is not None and not value.startswith(("data:", "#")):
            self.remote.append(f"{tag} {value}")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_report_of_a_finished_search_needs_no_network(finished: SearchFolder) -> None:
    page = _References()
    page.feed((finished.path / "report" / "index.html").read_text())
    assert page.remote == []
    for result in finished.results().values():
        for score in result["scores"]:
            assert score["resolution"] in page.text


def test_exported_flops_are_those_of_the_architecture(finished: SearchFolder) -> None:
    shown = read_json("inspect", finished.path)
    exported = json.loads((finished.exported / "architecture.json").read_text())
    cost = detector_cost(
        Architecture.model_validate(exported["architecture"]),
        DetectorShape.model_validate(exported["detector"]),
        len(exported["classes"]),
        Resolution.model_validate(exported["resolution"]),
    )
    assert shown["flops"] == cost.flops == exported["flops"]
    assert shown["parameters"] == cost.parameters
    status = read_json("status", finished.path)
    assert status["exported"]["flops"] == cost.flops


def test_exported_folder_works_without_the_project(finished: SearchFolder, tmp_path: Path) -> None:
    request = finished.record("students/best/request.json")
    data = request["data"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    # -S leaves out the .pth file by which an editable install is found.
    done = subprocess.run(
        [
            *(sys.executable, "-S", SCORE, finished.exported),
            Path(data["root"]) / data["val"],
            Path(data["root"]) / data["valImages"],
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": sysconfig.get_path("purelib")},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])  # mmdet prints too, when imported
    recorded = finished.record("students/best/result.json")["map"]
    assert found["from"] == str(tmp_path)
    assert found["classes"] == request["classes"]
    assert recorded > 0.01, "a detector that finds nothing proves nothing"
    assert found["map"] == pytest.approx(recorded, abs=1e-3)


def test_run_of_a_finished_search_repeats_nothing(finished: SearchFolder) -> None:
    before = _own_stamps(finished)
    logs = sorted(str(path) for path in (finished.store / ".detnas" / "runs").rglob("*.txt"))
    trainer = {name: Path(name).stat().st_mtime_ns for name in logs}
    done = run("run", finished.manifest, "--store", finished.store)
    assert done.returncode == 0, done.stderr
    assert _own_stamps(finished) == before
    assert {name: Path(name).stat().st_mtime_ns for name in logs} == trainer


def _own_stamps(finished: SearchFolder) -> dict[str, tuple[str, int]]:
    """Those of what a run writes; other tests may export detectors of the search meanwhile."""
    return {key: stamp for key, stamp in finished.stamps().items() if "/exports/" not in key}


def test_trial_that_only_adds_a_layer_has_the_parents_scores(finished: SearchFolder) -> None:
    trial = next(trial for trial in finished.trials if _has_weights(finished, trial))
    parent = json.loads((trial / "result.json").read_text())
    key = "local/checks/add-layer"
    request: dict[str, Any] = json.loads((trial / "request.json").read_text()) | {
        "key": key,
        "trial": None,
        "parent": parent["architecture"],
        "parentAdded": parent.get("added", []),
        "parentWeights": parent["files"]["weights"],
        "action": {"kind": "AddLayer", "stage": 1},
    }
    request["training"]["epochs"] = 0
    folder = finished.store / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "request.json").write_text(json.dumps(request))
    done = run_program("detnas-trainer", "evaluate", folder.as_uri())
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "result.json").read_text())
    assert len(_stages(result)[1]) == len(_stages(parent)[1]) + 1
    scores = {score["resolution"]: score["map"] for score in parent["scores"]}
    assert max(scores.values()) > 0.01, "a detector that finds nothing proves nothing"
    found = {score["resolution"]: score["map"] for score in result["scores"]}
    assert found == pytest.approx(scores, abs=1e-4)


def _has_weights(search: SearchFolder, trial: Path) -> bool:
    result = json.loads((trial / "result.json").read_text())
    return (search.store / result["files"]["weights"]["key"]).is_file()


def _stages(result: dict[str, Any]) -> list[Any]:
    stages: list[Any] = result["architecture"]["stages"]
    return stages
