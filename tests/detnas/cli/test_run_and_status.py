"""`detnas run` and `detnas status` as a user types them, on searches with pretended jobs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.searches import ENCODING
from tests.detnas.searches.local_run import LocalSearch


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    search = LocalSearch(tmp_path_factory.mktemp("finished") / "search")
    search.run()
    return search


def detnas(search: LocalSearch, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from detnas.cli import main; main()", *words],
        cwd=search.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_of_a_finished_search_prints_its_gain(finished: LocalSearch) -> None:
    starts = finished.starts()
    ended = detnas(finished, "run", "search.yaml", "--store", "store")
    assert ended.returncode == 0, ended.stderr
    assert finished.starts() == starts
    for wanted in ("base", "exported", "mAP", "FLOPs", "parameters", "latency", "[(16, 16)"):
        assert wanted in ended.stdout
    assert f"exported: {finished.search}/students/best" in ended.stdout
    assert f"records and logs: {finished.search}" in ended.stdout


def test_commands_report_that_no_student_is_better(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    search.write(trials=2, seed=0)  # whose base is the best
    search.run()
    ran = detnas(search, "run", "search.yaml", "--store", "store")
    assert ran.returncode == 0, "it is a result"
    status = detnas(search, "status", "search.yaml", "--store", "store")
    for said in (ran.stdout, status.stdout):
        assert "no student is better than the base, whose H is 0.7307" in said
        assert "only 2 trials finished; raise spec.search.trials" in said
        assert "base, exported" in said
        assert "trial 0" in said
    found = json.loads(detnas(search, "status", str(search.search), "-o", "json").stdout)
    assert (found["exported"]["isBase"], found["best"]["isBase"]) == (True, False)
    assert (found["improved"], found["exportedTrial"]) == (False, None)
    assert found["likelyCauses"]
    inspected = json.loads(detnas(search, "inspect", str(search.search), "-o", "json").stdout)
    assert inspected["architecture"] == found["base"]["encoding"]


def test_json_output_is_alone_on_standard_output(finished: LocalSearch) -> None:
    ran = detnas(finished, "run", "search.yaml", "--store", "store", "-o", "json")
    found = json.loads(ran.stdout)
    assert (found["phase"], found["finished"]) == ("Succeeded", 6)
    assert found["exportedTo"] == (finished.search / "students/best").as_uri()
    by_manifest = detnas(finished, "status", "search.yaml", "--store", "store", "-o", "json")
    assert json.loads(by_manifest.stdout) == found
    by_folder = detnas(finished, "status", str(finished.search), "-o", "yaml")
    assert yaml.safe_load(by_folder.stdout) == found


def test_status_table_names_what_failed_and_why(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    search.faults({"trials/0001": ["exit 1"] * 3})
    search.run()
    said = detnas(search, "status", "search.yaml", "--store", "store").stdout
    assert "6/6 (1 Infrastructure, 6 Succeeded)" in said
    assert "fault: exit 1" in said
    assert said.count("attempt 3") == 0, "a log belongs in its file"


def test_status_of_an_unstarted_search_names_the_start_command(
    finished: LocalSearch,
) -> None:
    ended = detnas(finished, "status", "search.yaml", "--store", "elsewhere")
    assert ended.returncode == 2
    assert "has not started; start it: detnas run search.yaml --store elsewhere" in ended.stderr


def test_run_refuses_a_search_that_is_running(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    search.faults({"base": ["hang"]})
    runner = search.start()
    search.wait_for("base")
    ended = detnas(search, "run", "search.yaml", "--store", "store")
    assert ended.returncode == 1
    assert "already being run on this machine" in ended.stderr
    said = json.loads(detnas(search, "status", str(search.search), "-o", "json").stdout)
    assert said["phase"] == "TrainingTeachers"
    assert [job["name"] for job in said["active"]] == ["base"]
    watched = detnas(search, "status", str(search.search)).stdout
    assert "no process of this machine" not in watched
    runner.kill()
    runner.communicate()
    left = detnas(search, "status", str(search.search)).stdout
    assert "no process of this machine runs it" in left


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--namespace", "A B"), "metadata.namespace"),
        (("--parallel", "5000"), "parallelism"),
        (("--store", "s3:/bucket"), "s3://bucket/prefix"),
    ],
)
def test_options_are_checked_like_the_manifest(
    finished: LocalSearch, words: tuple[str, str], field: str
) -> None:
    ended = detnas(finished, "run", "search.yaml", *words)
    assert ended.returncode == 2
    assert field in ended.stderr
    assert words[1] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_status_by_folder_equals_status_by_manifest(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    search.write(trials=2, seed=0)
    search.run()
    search.write(trials=5, seed=0)  # the last of them evolves the student, and is the best
    search.run()
    by_manifest = detnas(search, "status", "search.yaml", "--store", "store", "-o", "json")
    found = json.loads(by_manifest.stdout)
    assert (found["phase"], found["trials"], found["finished"]) == ("Succeeded", 5, 5)
    by_folder = detnas(search, "status", str(search.search), "-o", "json")
    assert json.loads(by_folder.stdout) == found
    assert found["exportedTo"].endswith("/students/best-0004")
    inspected = json.loads(detnas(search, "inspect", str(search.search), "-o", "json").stdout)
    assert inspected["architecture"] == found["exported"]["encoding"]
    assert inspected["flops"] == found["exported"]["flops"]
    assert inspected["architecture"] != found["base"]["encoding"]


def test_run_prints_brackets_in_a_log_as_text(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search", spec={"finetune": {"epochs": 1}})
    search.write(trials=1)
    search.faults({"finetune": ["exit [/red]"] * 3})
    search.run()
    ended = detnas(search, "status", "search.yaml", "--store", "store")
    assert ended.returncode == 0, ended.stderr
    assert "fault: exit [/red]" in ended.stdout


def test_inspect_refuses_a_search_without_student(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    search.faults({"base": ["exit 1"] * 3})
    search.run(exit_code=1)
    ended = detnas(search, "inspect", str(search.search))
    assert ended.returncode == 2
    assert "has exported no student yet" in ended.stderr


def test_run_refuses_wrong_parallelism(finished: LocalSearch) -> None:
    ended = detnas(finished, "run", "search.yaml", "--parallel", "0")
    assert ended.returncode == 2
    assert "--parallel" in ended.stderr


@pytest.mark.parametrize(
    ("weights", "said"),
    [("base.pth", "base.pth is empty"), ("https://example.com/r50.pth", "https:// addresses")],
)
def test_run_refuses_wrong_weights_before_it_starts(
    tmp_path: Path, weights: str, said: str
) -> None:
    base = {"architecture": ENCODING, "stem": 16, "weights": weights}
    search = LocalSearch(tmp_path / "search", spec={"base": base})
    (search.folder / "data").mkdir()
    (search.folder / "base.pth").touch()
    ended = detnas(search, "run", "search.yaml", "--store", "store")
    assert ended.returncode == 2
    assert "spec.base.weights: " in ended.stderr
    assert said in ended.stderr
    assert not (search.folder / "store").exists()


def test_run_ignores_weights_once_the_base_exists(tmp_path: Path) -> None:
    base = {"architecture": ENCODING, "stem": 16, "weights": "base.pth"}
    search = LocalSearch(tmp_path / "search", spec={"base": base})
    search.run()
    assert not (search.folder / "base.pth").exists()
    ended = detnas(search, "run", "search.yaml", "--store", "store")
    assert ended.returncode == 0, ended.stderr
