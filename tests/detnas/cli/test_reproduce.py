"""`detnas reproduce` as a user types it, on searches with pretended jobs."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from detnas.lifecycle.later_exports import ExportChoice, LaterExport, later_exports
from detnas.records import keys
from detnas.records.benchmark import Benchmark, BenchmarkedFile
from detnas.records.exports import ExportFormat, ExportSettings, FileLatency, FilePrecision
from detnas.records.results import Result
from detnas.runner.opening import reopen_search
from detnas.store.artifacts import create_record
from tests.detnas.cli.commands import detnas
from tests.detnas.searches.fake_trainer import answer
from tests.detnas.searches.local_run import LocalSearch

TABLE = {
    "number": "table 5",
    "title": "pipelines",
    "note": "of R101",
    "curve": True,
    "rows": [
        {"name": "base", "search": "joint", "detector": "Base", "resolution": "64x64"},
        {"name": "quoted", "paper": {"ap": "39.9"}},
        {"name": "pipeline", "paper": {"ap": "42.1"}, "search": "pipeline"},
        {"name": "joint", "paper": {"ap": "43.9"}, "search": "joint", "detector": "Trial"},
    ],
}


@pytest.fixture
def ablations(tmp_path: Path) -> LocalSearch:
    """A folder of a joint search, and a pipeline with an end like that one's student."""
    search = LocalSearch(tmp_path / "fake")
    folder = search.folder / "ablations"
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "five.yaml").write_text(yaml.safe_dump(TABLE))
    write(search, "joint", {"trials": 4})
    write(
        search,
        "pipeline",
        {"strategy": "Pipeline", "trials": 1},
        annotations={"detnas.dev/like-winner-of": "joint"},
    )
    return search


def write(
    search: LocalSearch, name: str, settings: dict[str, Any], **metadata: dict[str, str]
) -> None:
    document = search.manifest(**settings)
    document["metadata"] = {"name": name, **metadata}
    (search.folder / "ablations" / f"{name}.yaml").write_text(yaml.safe_dump(document))


def tables(search: LocalSearch) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((search.folder / "ablations" / "tables.json").read_text())
    return found


def request_of(search: LocalSearch, job: str) -> dict[str, Any]:
    folder = search.folder / "ablations" / "runs" / "local" / "searches"
    (path,) = folder.glob(f"{job}/request.json")
    request: dict[str, Any] = json.loads(path.read_text())
    return request


def test_reproduce_writes_the_papers_tables_beside_what_it_found(ablations: LocalSearch) -> None:
    ended = detnas(ablations, "reproduce", ablations.folder / "ablations")
    assert ended.returncode == 0, ended.stdout
    (table,) = tables(ablations)["tables"]
    base, quoted, pipeline, joint = table["rows"]
    assert (quoted["paper"], quoted["here"]) == ({"ap": 39.9}, None)
    assert (base["here"]["resolution"], base["paper"]) == ("64x64", {})
    assert 30 < joint["here"]["ap"] < 50
    curve = joint["here"]["bestHByTrial"]
    assert len(curve) == 4
    assert curve == sorted(curve)
    assert curve[-1] == joint["here"]["h"]
    final = request_of(ablations, "pipeline-*/finetune")
    assert final["resolutions"] == [joint["here"]["resolution"]]
    assert pipeline["here"]["resolution"] == joint["here"]["resolution"]
    page = (ablations.folder / "ablations" / "tables.md").read_text()
    assert "## Table 5: pipelines" in page
    assert f"| joint | 43.9 | {joint['here']['ap']:.1f} |" in page
    assert "| quoted | 39.9 | – |" in page
    phases = [key for key, _ in ablations.starts() if key.endswith("/phase-0")]
    assert len(phases) == 1, "the searches share one pool"


def test_reproduce_repeats_nothing_that_is_finished(ablations: LocalSearch) -> None:
    folder = ablations.folder / "ablations"
    assert detnas(ablations, "reproduce", folder).returncode == 0
    starts, page = ablations.starts(), (folder / "tables.json").read_bytes()
    again = detnas(ablations, "reproduce", folder, "--to", ablations.folder)
    assert again.returncode == 0, again.stdout
    assert ablations.starts() == starts
    assert (ablations.folder / "tables.json").read_bytes() == page


def test_reproduce_continues_after_a_search_that_fails(ablations: LocalSearch) -> None:
    path = ablations.folder / "ablations" / "joint.yaml"
    document = yaml.safe_load(path.read_text())
    document["spec"]["dataset"]["source"] = {"persistentVolumeClaim": {"claimName": "data"}}
    path.write_text(yaml.safe_dump(document))
    write(ablations, "zero", {"trials": 1})
    ended = detnas(ablations, "reproduce", ablations.folder / "ablations")
    assert ended.returncode == 1
    failed = tables(ablations)["failed"]
    assert "name a folder of this machine" in failed["joint"]
    assert "waits for joint" in failed["pipeline"]
    assert set(failed) == {"joint", "pipeline"}
    assert any("/searches/zero-" in key for key, _ in ablations.starts())
    assert "## Searches that failed" in (path.parent / "tables.md").read_text()


FPS = {
    "number": "table 4",
    "title": "before and after",
    "rows": [
        {"name": "base", "search": "joint", "detector": "Base", "paper": {"fps": "15.9"}},
        {"name": "ours", "search": "joint", "detector": "Trial", "paper": {"fps": "23.3"}},
    ],
}


def test_fps_is_that_of_the_benchmark_of_an_exported_file(ablations: LocalSearch) -> None:
    folder = ablations.folder / "ablations"
    (folder / "tables" / "four.yaml").write_text(yaml.safe_dump(FPS))
    assert detnas(ablations, "reproduce", folder).returncode == 0
    (place,) = (folder / "runs" / "local" / "searches").glob("joint-*")
    search = reopen_search(str(place))
    (export,) = later_exports(search, ExportChoice(base=True), ExportSettings())
    key = export.request.key
    create_record(search.store, keys.request_key(key), export.request)
    result = answer(search.store, export.request, ablations.folder)
    create_record(search.store, keys.result_key(key), result)
    (ablations.folder / "bench.json").write_text(benchmark_of(export, result))

    ended = detnas(ablations, "reproduce", folder, "--bench", ablations.folder / "bench.json")
    assert ended.returncode == 0, ended.stdout
    base, ours = tables(ablations)["tables"][0]["rows"]
    assert base["here"]["fps"] == pytest.approx(40)
    assert "fps" not in ours["here"], "no file of it was measured"
    page = (folder / "tables.md").read_text()
    assert "| base | 15.9 |" in page
    assert "| 40.0 |" in page


def benchmark_of(export: LaterExport, result: Result) -> str:
    """What `detnas bench` prints of the exported file, which takes 25 ms."""
    (file,) = result.files.values()
    latency = FileLatency(median=25, p90=26, runs=3, threads=1, device="a processor")
    measured = BenchmarkedFile(
        file="detector.pth",
        format=ExportFormat.MMDET,
        precision=FilePrecision.FP32,
        sha256=file.sha256,
        bytes=file.size,
        runtime="mmdet",
        resolution=export.request.resolution,
        latency=latency,
        warm_up=1,
        drift=0,
    )
    return Benchmark(
        device="a processor", threads=1, measured=datetime.now(UTC), images=0, files=(measured,)
    ).model_dump_json(by_alias=True)


def test_benchmark_that_cannot_be_read_is_named(ablations: LocalSearch) -> None:
    path = ablations.folder / "bench.json"
    path.write_text("{}")
    ended = detnas(ablations, "reproduce", ablations.folder / "ablations", "--bench", path)
    assert ended.returncode == 2
    assert b"it cannot be read as a benchmark" in ended.stderr


@pytest.fixture
def plan(ablations: LocalSearch) -> Path:
    """A plan of that folder's searches: two seeds, the second round one more of the first."""
    for name in ("joint", "pipeline"):
        path = ablations.folder / "ablations" / f"{name}.yaml"
        document = yaml.safe_load(path.read_text())
        document["spec"]["baselines"] = ["ContinuedBase"]
        path.write_text(yaml.safe_dump(document))
    path = ablations.folder / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    return path


PLAN = {
    "searches": "ablations",
    "results": "results",
    "rounds": [
        {"searches": ["joint", "pipeline"], "seeds": 2},
        {"searches": ["joint"], "seeds": 3},
    ],
    "arms": [
        {"name": "Joint", "search": "joint"},
        {"name": "pipeline", "search": "pipeline"},
        {"name": "continued base", "search": "joint", "detector": "ContinuedBase"},
    ],
}


def arms(search: LocalSearch) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((search.folder / "results" / "arms.json").read_text())
    return found


def test_plan_compares_its_arms_by_seed(ablations: LocalSearch, plan: Path) -> None:
    ended = detnas(ablations, "reproduce", plan)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count(b"joint.yaml: joint, seed 0") == 1, "rounds share their seeds"
    assert ended.stdout.startswith(b"to run: 5;")
    kept = sorted(path.name for path in (ablations.folder / "results").glob("*-*.json"))
    assert kept == [
        "joint-0.json",
        "joint-1.json",
        "joint-2.json",
        "pipeline-0.json",
        "pipeline-1.json",
    ]
    joint, pipeline, continued = arms(ablations)["arms"]
    assert (set(joint["seeds"]), set(pipeline["seeds"])) == ({"0", "1", "2"}, {"0", "1"})
    assert (pipeline["referenceLess"]["pairs"], continued["referenceLess"]["pairs"]) == (2, 3)
    assert joint["referenceLess"] is None
    differences = [best_h(joint, seed) - best_h(pipeline, seed) for seed in ("0", "1")]
    assert pipeline["referenceLess"]["h"] == pytest.approx(sum(differences) / 2)
    page = (ablations.folder / "results" / "arms.md").read_text()
    assert "## Joint less the others" in page
    assert "±" in (ablations.folder / "results" / "tables.md").read_text()


def best_h(arm: dict[str, Any], seed: str) -> float:
    detector = arm["seeds"][seed]
    here = [one for one in detector["validation"] if one["resolution"] == detector["resolution"]]
    return float(here[0]["h"])


def test_kept_figures_replace_a_run_also_without_the_store(
    ablations: LocalSearch, plan: Path
) -> None:
    assert detnas(ablations, "reproduce", plan).returncode == 0
    starts, page = ablations.starts(), arms(ablations)
    shutil.rmtree(ablations.folder / "ablations" / "runs")
    (ablations.folder / "results" / "pipeline-1.json").unlink()
    ended = detnas(ablations, "reproduce", plan)
    assert ended.returncode == 0
    assert ended.stdout.startswith(b"to run: 1;")
    again = [key for key, _ in ablations.starts()[len(starts) :]]
    assert again
    assert not any("/joint-" in key for key in again)
    assert arms(ablations) == page


def test_figures_of_a_changed_manifest_are_neither_used_nor_overwritten(
    ablations: LocalSearch, plan: Path
) -> None:
    assert detnas(ablations, "reproduce", plan).returncode == 0
    write(ablations, "joint", {"trials": 5})
    kept = ablations.folder / "results" / "joint-0.json"
    content, starts = kept.read_bytes(), ablations.starts()
    ended = detnas(ablations, "reproduce", plan)
    assert ended.returncode == 1
    assert "figures of another joint.yaml" in arms(ablations)["failed"]["joint, seed 0"]
    assert kept.read_bytes() == content
    assert ablations.starts() == starts


def test_base_of_another_search_is_not_trained_again(ablations: LocalSearch, plan: Path) -> None:
    write(ablations, "shared", {"trials": 2}, annotations={"detnas.dev/base-of": "joint"})
    (ablations.folder / "ablations" / "tables" / "five.yaml").unlink()
    arm = {"arms": [{"name": "Joint", "search": "joint"}]}
    plan.write_text(yaml.safe_dump(PLAN | arm | {"rounds": [{"searches": ["joint"], "seeds": 1}]}))
    assert detnas(ablations, "reproduce", plan).returncode == 0
    runs = ablations.folder / "ablations" / "runs"
    (weights,) = runs.glob("local/searches/joint-*/base/**/*.safetensors")
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")  # those of pretended jobs are no weights
    rounds = [{"searches": ["shared", "joint"], "seeds": 1}]
    plan.write_text(yaml.safe_dump(PLAN | arm | {"rounds": rounds}))
    ended = detnas(ablations, "reproduce", plan)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trained, taken = (request_of(ablations, f"{name}-*/base") for name in ("joint", "shared"))
    assert trained["training"]["epochs"] > 0
    assert "weights" not in trained
    assert taken["training"]["epochs"] == 0
    assert taken["weights"] == str(weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rounds": [{"searches": ["jiont"], "seeds": 1}]}, "rounds[0].searches names jiont"),
        (
            {"arms": [{"name": "A", "search": "other"}]},
            "the arm A is of other, which no round runs",
        ),
        (
            {"rounds": [{"searches": ["pipeline"], "seeds": 1}], "arms": PLAN["arms"][1:2]},
            "pipeline runs with 1 seeds and needs joint, which runs with 0",
        ),
        ({"rounds": [{"searches": ["joint"], "seeds": 0}]}, "rounds[0].seeds"),
        ({"seeds": 3}, "seeds"),
    ],
)
def test_plan_that_cannot_run_is_refused(
    ablations: LocalSearch, plan: Path, change: dict[str, Any], said: str
) -> None:
    plan.write_text(yaml.safe_dump(PLAN | change))
    ended = detnas(ablations, "reproduce", plan)
    assert ended.returncode == 2
    assert said in ended.stderr.decode()
    assert not ablations.starts()


def test_kept_record_that_cannot_be_read_is_named(ablations: LocalSearch, plan: Path) -> None:
    place = ablations.folder / "results" / "joint-0.json"
    place.parent.mkdir()
    place.write_text('{"search": 3}')
    ended = detnas(ablations, "reproduce", plan)
    assert ended.returncode == 1
    assert "joint-0.json is no record of a search" in arms(ablations)["failed"]["joint, seed 0"]
    assert place.read_text() == '{"search": 3}'
