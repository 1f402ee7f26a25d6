"""A project moved to another folder continues there; other data is refused."""

import json
import signal
from pathlib import Path

import pytest

from tests.cluster.searches import PHASES
from tests.detnas.searches.local_run import LocalSearch


def project(folder: Path, annotations: str = '{"images": []}', store: str = "") -> LocalSearch:
    """A small search with annotation files and local weights beside its manifest."""
    search = LocalSearch(
        folder, spec={"teachers": {"phases": PHASES[:1]}}, store=store or str(folder / "runs")
    )
    search.spec["base"] = {**search.manifest()["spec"]["base"], "weights": "base.pth"}
    search.write(trials=3)
    (folder / "data").mkdir(exist_ok=True)
    for name in ("t.json", "v.json"):
        (folder / "data" / name).write_text(annotations)
    (folder / "base.pth").write_bytes((2).to_bytes(8, "little") + b"{}")  # safetensors
    return search


@pytest.mark.parametrize("job", ["prepare", "base", "phase-0", "trials/0001", "students/best"])
def test_run_of_a_moved_project_continues_with_the_job_it_was_stopped_in(
    tmp_path: Path, job: str
) -> None:
    before = project(tmp_path / "before")
    before.faults({job: ["hang"]})
    before.stop_in(job, signal.SIGINT)
    began, results = len(before.starts()), before.results()

    before.folder.rename(tmp_path / "after")
    after = project(tmp_path / "after")
    after.run()

    assert {key: after.results()[key] for key in results} == results
    again = [key for key, _ in after.starts()[began:]]
    assert [key for key in again if key.endswith(job)], "the stopped job began again"
    assert not [key for key in again if f"{key}/result.json" in results], "nothing else did"
    folder = str(after.folder)
    requests = {p: json.loads(p.read_text()) for p in after.root.rglob("request.json")}
    repeated = {p: r for p, r in requests.items() if r["key"] in again}
    assert {r["data"]["root"] for r in repeated.values()} == {f"{folder}/data"}
    weights = {r["weights"] for r in repeated.values() if r["kind"] == "Base"}
    assert weights <= {f"{folder}/base.pth"}
    record = after.records("search.json")["search.json"]
    assert (record["folder"], record["data"]["root"]) == (folder, f"{folder}/data")


def test_run_of_a_copy_with_other_data_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    one = project(tmp_path / "one")
    one.run()
    record = (one.search / "search.json").read_bytes()
    other = project(tmp_path / "other", '{"images": [], "info": {}}', store=str(one.root))
    output = other.run(exit_code=1)
    assert f"the training annotations {other.folder}/data/t.json have changed" in output
    assert "metadata.name" in output
    assert (one.search / "search.json").read_bytes() == record


def test_run_of_a_project_moved_without_its_data_is_refused(tmp_path: Path) -> None:
    before = project(tmp_path / "before")
    before.run()
    before.folder.rename(tmp_path / "after")
    after = project(tmp_path / "after")
    (after.folder / "data" / "v.json").unlink()
    output = after.run(exit_code=1)
    assert f"the validation annotations {after.folder}/data/v.json are gone" in output
