"""Whole searches with jobs that only pretend: what runs, what is repeated, what is said."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.status import search_status
from detnas.runner.opening import Overrides, open_search
from detnas.store import open_store
from tests.detnas.searches.local_run import PATIENCE, LocalSearch, ends
from tests.seaweed import S3Server


@pytest.fixture
def pretended(tmp_path: Path) -> LocalSearch:
    return LocalSearch(tmp_path / "search")


def test_one_slot_twice_gives_the_same_search(tmp_path: Path) -> None:
    first, second = LocalSearch(tmp_path / "1"), LocalSearch(tmp_path / "2")
    first.run()
    second.run()
    assert len(first.proposals()) == 6
    assert first.proposals() == second.proposals()
    assert [key for key, _ in first.starts()] == [key for key, _ in second.starts()]
    exported = [s.records("students/best/request.json") for s in (first, second)]
    weights = [r["students/best/request.json"]["weights"]["sha256"] for r in exported]
    assert weights[0] == weights[1]


def test_a_finished_search_starts_nothing_again(pretended: LocalSearch) -> None:
    pretended.run(parallelism=3)
    started, results = pretended.starts(), pretended.results()
    assert len(started) == len(set(started)) == len(results)
    pretended.run()
    assert pretended.starts() == started
    assert pretended.results() == results


def test_every_log_lies_beside_its_attempt(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0002": ["exit 1"]})
    pretended.run()
    for attempt in pretended.search.glob("**/attempts/*/attempt.json"):
        assert f"attempt {attempt.parent.name}" in attempt.with_name("log.txt").read_text()
    assert (pretended.search / "trials/0002/attempts/2/log.txt").is_file()


def test_a_failed_trial_is_reported_with_its_log_and_the_search_goes_on(
    pretended: LocalSearch,
) -> None:
    pretended.faults({"trials/0001": ["exit 1", "exit 3", "kill"], "trials/0003": ["kill"]})
    output = pretended.run()
    results = pretended.records("trials/*/result.json")
    outcomes = [result["outcome"] for result in results.values()]
    assert outcomes == ["Succeeded", "Infrastructure", *["Succeeded"] * 5], (
        "a lost one is made up for"
    )
    message = results["trials/0001/result.json"]["message"]
    assert "3 attempts, the last one was killed (SIGKILL); if memory ran out" in message
    assert message.endswith("fault: kill")
    assert "fault: exit 3" in output


def test_a_job_that_asks_to_be_resumed_has_not_failed(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0001": ["exit 75"] * 4, "base": ["exit 75"] * 4})
    pretended.run()
    results = pretended.records("**/result.json")
    assert results["trials/0001/result.json"]["outcome"] == "Succeeded"
    assert results["trials/0001/result.json"]["attempt"] == 5
    assert results["base/result.json"]["attempt"] == 5


def test_a_search_that_only_loses_trials_to_the_machine_stops(
    pretended: LocalSearch,
) -> None:
    pretended.write(trials=9)
    pretended.faults({f"trials/000{number}": ["exit 1"] * 9 for number in range(1, 9)})
    output = pretended.run(exit_code=1)
    assert "error: 5 consecutive trials were lost to the infrastructure" in output
    assert len(pretended.proposals()) == 6


@pytest.mark.parametrize("job", ["prepare", "base", "phase-1", "students/best"])
def test_a_job_the_search_needs_ends_it_and_is_tried_again_by_the_next_run(
    pretended: LocalSearch, job: str
) -> None:
    pretended.faults({job: ["exit 1"] * 3})
    output = pretended.run(exit_code=1)
    if job == "prepare":  # tried once a run: who has bad data should not wait to hear it
        pretended.run(exit_code=1)
        pretended.run(exit_code=1)
    assert "fault: exit 1; fix that, then run the same command again" in output
    before = pretended.results()
    output = pretended.run()
    assert f"{job} failed in an earlier run: it is retried" in output
    after = pretended.results()
    changed = [key for key in before if after[key] != before[key]]
    assert [key.endswith(f"{job}/result.json") for key in changed] == [True]
    assert list(pretended.root.rglob("failed-*.json")), "the failed result is kept too"


@pytest.mark.parametrize("job", ["base", "phase-1"])
def test_a_result_that_is_not_believed_is_tried_again_by_the_next_run(
    pretended: LocalSearch, job: str
) -> None:
    pretended.faults({job: ["truncate"]})
    output = pretended.run(exit_code=1)
    assert "(Infrastructure): its result names weights" in output
    assert "of 2048 bytes; the store has 9; the end of its log" in output
    assert f"{job} failed in an earlier run: it is retried" in pretended.run()
    assert [key.endswith(job) for key, _ in pretended.starts()].count(True) == 2


def test_what_is_not_believed_of_a_trial_or_a_finetuning_costs_only_that(tmp_path: Path) -> None:
    pretended = LocalSearch(tmp_path / "search", spec={"finetune": {"epochs": 1}})
    pretended.faults({"trials/0001": ["truncate"], "finetune": ["truncate"]})
    output = pretended.run(parallelism=2)
    results = pretended.records("trials/*/result.json")
    outcomes = [result["outcome"] for result in results.values()]
    assert outcomes == ["Succeeded", "Infrastructure", *["Succeeded"] * 5]
    assert "trial 1 exit 0 Infrastructure" in output
    assert (
        "fine-tuning failed (Infrastructure: its result names" in status(pretended)["exportReason"]
    )


def test_a_trial_that_ended_without_its_runner_is_believed_only_if_its_weights_are_there(
    pretended: LocalSearch,
) -> None:
    pretended.write(trials=1)
    pretended.run()
    (weights,) = (pretended.search / "trials/0000").glob("*.safetensors")
    weights.write_bytes(b"cut short")
    pretended.run()
    started = [key.rpartition("/")[2] for key, _ in pretended.starts() if "trials" in key]
    assert started == ["0000", "0000"]
    assert weights.stat().st_size == 2048
    assert [*pretended.records("trials/0000/failed-*.json")]


def test_a_finetuning_that_fails_costs_only_the_finetuning(tmp_path: Path) -> None:
    pretended = LocalSearch(tmp_path / "search", spec={"finetune": {"epochs": 1}})
    pretended.faults({"finetune": ["exit 1"] * 3})
    pretended.run()
    reason = status(pretended)["exportReason"]
    assert "fine-tuning failed (Infrastructure" in reason
    exported = pretended.records("students/best/request.json")["students/best/request.json"]
    assert "/trials/" in exported["weights"]["key"]


def test_a_second_runner_is_refused(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0001": ["hang"]})
    first = pretended.start()
    pretended.wait_for("trials/0001")
    output = pretended.run(exit_code=1)
    assert f"already being run on this machine (process {first.pid})" in output
    first.kill()
    first.communicate()


def test_jobs_die_with_their_runner(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0001": ["hang"]})
    runner = pretended.start(parallelism=2)
    job = pretended.wait_for("trials/0001")
    server = int(Path(f"/proc/{job}/stat").read_text().rsplit(")", 1)[1].split()[1])
    runner.kill()
    runner.communicate()
    assert ends(server)
    assert ends(job)


def test_ctrl_c_lets_jobs_write_their_checkpoints(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0001": ["hang"]})
    runner = pretended.start()
    pretended.wait_for("trials/0001")
    runner.send_signal(signal.SIGINT)
    output, _ = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 130, output
    log = pretended.search / "trials/0001/attempts/1/log.txt"
    assert "hang" in log.read_text(), "the log of a job that was stopped is kept"
    pretended.run()
    assert len(pretended.results()) == 4 + 6 + 1
    attempts = [key for key, _ in pretended.starts() if key.endswith("trials/0001")]
    assert len(attempts) == 2, "being stopped is no failure"


def test_a_second_ctrl_c_ends_it_at_once(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0001": ["deaf"]})
    runner = pretended.start()
    job = pretended.wait_for("trials/0001")
    assert runner.stdout is not None
    runner.send_signal(signal.SIGINT)
    while "stopping" not in runner.stdout.readline():
        pass
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=15)  # jobs get 20 seconds after the first
    assert runner.returncode == 130
    assert ends(job)


def test_more_trials_go_on_with_the_same_search(pretended: LocalSearch) -> None:
    pretended.write(trials=2, seed=0)
    pretended.run()
    before, best_before = pretended.results(), status(pretended)["exported"]["h"]
    pretended.write(trials=5, seed=0)
    pretended.run()
    after = pretended.results()
    assert {key: after[key] for key in before} == before
    assert len(pretended.proposals()) == 5
    best = max(trial["h"] for trial in status(pretended)["top"])
    assert status(pretended)["exported"]["h"] == best > best_before


def test_the_weights_of_those_left_behind_go_and_records_stay(
    pretended: LocalSearch,
) -> None:
    pretended.write(trials=12)
    pretended.run()
    kept = {path.parent.name for path in pretended.search.glob("trials/*/*.safetensors")}
    top = {f"{trial['number']:04d}" for trial in status(pretended)["top"]}
    assert top <= kept
    assert len(kept) < 12
    assert len(pretended.records("trials/*/result.json")) == 12
    everything = LocalSearch(
        pretended.folder.with_name("all"), spec={"retention": {"weights": "All"}}
    )
    everything.run()
    assert len(list(everything.search.glob("trials/*/*.safetensors"))) == 6


def test_searches_share_a_pool_and_only_one_trains_it(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    one = LocalSearch(tmp_path / "1", "one", store=store)
    two = LocalSearch(tmp_path / "2", "two", store=store)
    one.faults({"phase-0": ["hang"]})
    first = one.start()
    job = one.wait_for("phase-0")
    second = two.start()
    assert second.stdout is not None
    lines = iter(second.stdout.readline, "")
    assert any("waiting: the pool is being trained by local/searches/one-" in s for s in lines)
    os.kill(job, signal.SIGTERM)  # as if preempted: the second attempt does not hang
    for process in (first, second):
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    started = [key for search in (one, two) for key, _ in search.starts() if "/pools/" in key]
    assert len(started) == 3
    assert not [key for key, _ in two.starts() if "/pools/" in key]


def test_a_pool_that_was_left_goes_on_with_the_data_of_who_takes_it_over(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    one = LocalSearch(tmp_path / "1", "one", store=store)
    one.faults({"phase-0": ["hang"]})
    first = one.start()
    one.wait_for("phase-0")
    (request,) = (tmp_path / "store/local/pools").glob("*/phase-0/request.json")
    before = json.loads(request.read_text())
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE)
    two = LocalSearch(tmp_path / "2", "two", store=store)
    two.run()
    assert [key for key, _ in two.starts() if key.endswith("phase-0")]
    after = json.loads(request.read_text())
    assert after["data"]["root"] == str(two.folder / "data")
    assert {**after, "data": None} == {**before, "data": None}


def test_status_of_a_live_search_comes_from_the_store(pretended: LocalSearch) -> None:
    pretended.faults({"trials/0003": ["hang"]})
    runner = pretended.start()
    pretended.wait_for("trials/0003")
    found = status(pretended)
    assert (found["phase"], found["finished"], found["trials"]) == ("Searching", 3, 6)
    (active,) = found["active"]
    assert (active["name"], active["progress"]["activity"]) == ("trial 3", "training")
    assert found["base"]["encoding"].startswith("[(16, 16)")
    runner.kill()
    runner.communicate()


def test_a_search_over_s3(tmp_path: Path, s3_environment: S3Server) -> None:
    uri = f"s3://{s3_environment.bucket}/{tmp_path.name}"
    pretended = LocalSearch(tmp_path / "search", store=uri)
    pretended.write(trials=3, topK=1)
    pretended.faults({"trials/0001": ["exit 1"]})
    pretended.run(parallelism=2)
    keys = list(open_store(uri).list("local/"))
    assert sum(key.endswith("/result.json") for key in keys) == 1 + 1 + 2 + 3 + 1
    assert sum(key.endswith("/attempts/2/log.txt") for key in keys) == 1
    assert status(pretended)["phase"] == "Succeeded"
    assert len(pretended.starts()) == 9


def status(pretended: LocalSearch) -> dict[str, Any]:
    """What `detnas status -o json` says."""
    store = pretended.store or str(pretended.folder / "store")
    search = open_search(pretended.folder / "search.yaml", Overrides(store))
    found = search_status(search, SearchReader(search.store, search.requests).read())
    parsed: dict[str, Any] = json.loads(found.model_dump_json(by_alias=True))
    return parsed
