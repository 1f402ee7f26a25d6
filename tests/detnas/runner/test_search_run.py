"""Complete local runs with the fake trainer: what runs, what is repeated, what is reported."""

import json
import os
import signal
from pathlib import Path

import pytest

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import Phase
from detnas.store import open_store
from tests.detnas.searches import in_process
from tests.detnas.searches.in_process import TUNED
from tests.detnas.searches.local_run import PATIENCE, LocalSearch, ends
from tests.seaweed import S3Server


def test_run_twice_with_one_slot_gives_the_same_search(tmp_path: Path) -> None:
    first, second = LocalSearch(tmp_path / "1"), LocalSearch(tmp_path / "2")
    first.run()
    second.run()
    assert len(first.proposals()) == 6
    assert first.proposals() == second.proposals()
    assert [key for key, _ in first.starts()] == [key for key, _ in second.starts()]
    exported = [s.records("students/best/request.json") for s in (first, second)]
    weights = [r["students/best/request.json"]["weights"]["sha256"] for r in exported]
    assert weights[0] == weights[1]


def test_run_of_a_finished_search_starts_nothing(search: LocalSearch) -> None:
    search.run(parallelism=3)
    started, results = search.starts(), search.results()
    assert len(started) == len(set(started)) == len(results)
    search.run()
    assert search.starts() == started
    assert search.results() == results


def test_run_stores_each_log_with_its_attempt(search: LocalSearch) -> None:
    search.faults({"trials/0002": ["exit 1"]})
    search.run()
    for attempt in search.search.glob("**/attempts/*/attempt.json"):
        assert f"attempt {attempt.parent.name}" in attempt.with_name("log.txt").read_text()
    assert (search.search / "trials/0002/attempts/2/log.txt").is_file()


def test_run_reports_a_failed_trial_with_its_log_and_continues(
    search: LocalSearch,
) -> None:
    search.faults({"trials/0001": ["exit 1", "exit 3", "kill"], "trials/0003": ["kill"]})
    output = search.run()
    results = search.records("trials/*/result.json")
    outcomes = [result["outcome"] for result in results.values()]
    assert outcomes == ["Succeeded", "Infrastructure", *["Succeeded"] * 5], (
        "a lost trial is replaced"
    )
    message = results["trials/0001/result.json"]["message"]
    assert "3 attempts, the last one was killed (SIGKILL); if memory ran out" in message
    assert message.endswith("fault: kill")
    assert "fault: exit 3" in output


def test_run_resumes_a_job_on_request_without_counting_a_failure(search: LocalSearch) -> None:
    search.faults({"trials/0001": ["exit 75"] * 4, "base": ["exit 75"] * 4})
    search.run()
    results = search.records("**/result.json")
    assert results["trials/0001/result.json"]["outcome"] == "Succeeded"
    assert results["trials/0001/result.json"]["attempt"] == 5
    assert results["base/result.json"]["attempt"] == 5


def test_run_stops_after_consecutive_lost_trials(
    search: LocalSearch,
) -> None:
    search.write(trials=9)
    search.faults({f"trials/000{number}": ["exit 1"] * 9 for number in range(1, 9)})
    output = search.run(exit_code=1)
    assert "error: 5 consecutive trials were lost to the infrastructure" in output
    assert len(search.proposals()) == 6


@pytest.mark.parametrize("job", ["prepare", "base", "phase-1", "students/best"])
def test_run_stops_at_a_failed_vital_job_and_the_next_retries_it(
    search: LocalSearch, job: str
) -> None:
    search.faults({job: ["exit 1"] * 3})
    output = search.run(exit_code=1)
    if job == "prepare":  # attempted once per run: bad data should be reported at once
        search.run(exit_code=1)
        search.run(exit_code=1)
    assert "fault: exit 1; fix that, then run the same command again" in output
    before = search.results()
    output = search.run()
    assert f"{job} failed in an earlier run: it is retried" in output
    after = search.results()
    changed = [key for key in before if after[key] != before[key]]
    assert [key.endswith(f"{job}/result.json") for key in changed] == [True]
    assert list(search.root.rglob("failed-*.json")), "the failed result is retained"


@pytest.mark.parametrize("job", ["base", "phase-1"])
def test_run_stops_at_an_invalid_vital_result_and_the_next_retries_it(
    search: LocalSearch, job: str
) -> None:
    search.faults({job: ["truncate"]})
    output = search.run(exit_code=1)
    assert "(Infrastructure): its result names weights" in output
    assert "of 2048 bytes; the store has 9; the end of its log" in output
    assert f"{job} failed in an earlier run: it is retried" in search.run()
    assert [key.endswith(job) for key, _ in search.starts()].count(True) == 2


def test_run_with_an_invalid_trial_or_finetuning_loses_only_that(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search", spec=TUNED)
    search.faults({"trials/0001": ["truncate"], "finetune": ["truncate"]})
    output = search.run(parallelism=2)
    results = search.records("trials/*/result.json")
    outcomes = [result["outcome"] for result in results.values()]
    assert outcomes == ["Succeeded", "Infrastructure", *["Succeeded"] * 5]
    assert "trial 1 exit 0 Infrastructure" in output
    assert "fine-tuning failed (Infrastructure: its result names" in status(search).export_reason


def test_run_repeats_a_trial_found_with_damaged_weights(
    search: LocalSearch,
) -> None:
    search.write(trials=1)
    search.run()
    (weights,) = (search.search / "trials/0000").glob("*.safetensors")
    weights.write_bytes(b"cut short")
    search.run()
    started = [key.rpartition("/")[2] for key, _ in search.starts() if "trials" in key]
    assert started == ["0000", "0000"]
    assert weights.stat().st_size == 2048
    assert [*search.records("trials/0000/failed-*.json")]


def test_run_with_a_failed_finetuning_exports_the_trial(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search", spec=TUNED)
    search.faults({"finetune": ["exit 1"] * 3})
    search.run()
    reason = status(search).export_reason
    assert "fine-tuning failed (Infrastructure" in reason
    exported = search.records("students/best/request.json")["students/best/request.json"]
    assert "/trials/" in exported["weights"]["key"]


def test_run_beside_another_of_the_same_search_is_refused(search: LocalSearch) -> None:
    search.faults({"trials/0001": ["hang"]})
    first = search.start()
    search.wait_for("trials/0001")
    output = search.run(exit_code=1)
    assert f"already being run on this machine (process {first.pid})" in output
    first.kill()
    first.communicate()


def test_kill_of_the_runner_ends_server_and_jobs(search: LocalSearch) -> None:
    search.faults({"trials/0001": ["hang"]})
    runner = search.start(parallelism=2)
    job = search.wait_for("trials/0001")
    server = int(Path(f"/proc/{job}/stat").read_text().rsplit(")", 1)[1].split()[1])
    runner.kill()
    runner.communicate()
    assert ends(server)
    assert ends(job)


def test_ctrl_c_lets_jobs_write_checkpoints_and_the_next_run_resumes_them(
    search: LocalSearch,
) -> None:
    search.faults({"trials/0001": ["hang"]})
    search.stop_in("trials/0001", signal.SIGINT)
    log = search.search / "trials/0001/attempts/1/log.txt"
    assert "hang" in log.read_text(), "the log of a stopped job is stored"
    search.run()
    assert len(search.results()) == 4 + 6 + 1
    attempts = [key for key, _ in search.starts() if key.endswith("trials/0001")]
    assert len(attempts) == 2, "being stopped does not count as a failure"


def test_second_ctrl_c_ends_the_run_at_once(search: LocalSearch) -> None:
    search.faults({"trials/0001": ["deaf"]})
    runner = search.start()
    job = search.wait_for("trials/0001")
    runner.send_signal(signal.SIGINT)
    while "stopping" not in runner.stdout.readline():
        pass
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=15)  # jobs get 20 seconds after the first
    assert runner.returncode == 130
    assert ends(job)


def test_run_with_more_trials_continues_the_search(search: LocalSearch) -> None:
    search.write(trials=2, seed=0)
    search.run()
    before, best_before = search.results(), exported_h(search)
    search.write(trials=5, seed=0)
    search.run()
    after = search.results()
    assert {key: after[key] for key in before} == before
    assert len(search.proposals()) == 5
    best = status(search).top[0].h
    assert best is not None
    assert exported_h(search) == best > best_before


def test_run_deletes_unneeded_weights_and_no_records(
    search: LocalSearch,
) -> None:
    search.write(trials=12)
    search.run()
    kept = {path.parent.name for path in search.search.glob("trials/*/*.safetensors")}
    top = {f"{trial.number:04d}" for trial in status(search).top}
    assert top <= kept
    assert len(kept) < 12
    assert len(search.records("trials/*/result.json")) == 12
    everything = LocalSearch(search.folder.with_name("all"), spec={"retention": {"weights": "All"}})
    everything.run()
    assert len(list(everything.search.glob("trials/*/*.safetensors"))) == 6


def test_run_beside_another_with_the_same_pool_waits_for_it(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    one = LocalSearch(tmp_path / "1", "one", store=store)
    two = LocalSearch(tmp_path / "2", "two", store=store)
    one.faults({"phase-0": ["hang"]})
    first = one.start()
    job = one.wait_for("phase-0")
    second = two.start()
    lines = iter(second.stdout.readline, "")
    assert any("waiting: the pool is being trained by local/searches/one-" in s for s in lines)
    os.kill(job, signal.SIGTERM)  # as if preempted: the second attempt does not hang
    for process in (first, second):
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    started = [key for search in (one, two) for key, _ in search.starts() if "/pools/" in key]
    assert len(started) == 3
    assert not [key for key, _ in two.starts() if "/pools/" in key]


def test_run_that_continues_anothers_pool_updates_the_location_of_the_data(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    one = LocalSearch(tmp_path / "1", "one", store=store)
    one.faults({"phase-0": ["hang"]})
    one.stop_in("phase-0", signal.SIGINT)
    (request,) = (tmp_path / "store/local/pools").glob("*/phase-0/request.json")
    before = json.loads(request.read_text())
    two = LocalSearch(tmp_path / "2", "two", store=store)
    two.run()
    assert [key for key, _ in two.starts() if key.endswith("phase-0")]
    after = json.loads(request.read_text())
    assert after["data"]["root"] == str(two.folder / "data")
    assert {**after, "data": None} == {**before, "data": None}


def test_status_of_a_running_search_is_read_from_the_store(search: LocalSearch) -> None:
    search.faults({"trials/0003": ["hang"]})
    runner = search.start()
    search.wait_for("trials/0003")
    found = status(search)
    assert (found.phase, found.finished, found.trials) == (Phase.SEARCHING, 3, 6)
    (active,) = found.active
    assert active.progress is not None
    assert (active.name, active.progress.activity) == ("trial 3", "training")
    assert found.base is not None
    assert found.base.encoding.startswith("[(16, 16)")
    runner.kill()
    runner.communicate()


def test_run_in_s3_succeeds(tmp_path: Path, s3_environment: S3Server) -> None:
    uri = f"s3://{s3_environment.bucket}/{tmp_path.name}"
    search = LocalSearch(tmp_path / "search", store=uri)
    search.write(trials=3, topK=1)
    search.faults({"trials/0001": ["exit 1"]})
    search.run(parallelism=2)
    keys = list(open_store(uri).list("local/"))
    assert sum(key.endswith("/result.json") for key in keys) == 1 + 1 + 2 + 3 + 1
    assert sum(key.endswith("/attempts/2/log.txt") for key in keys) == 1
    assert status(search).phase is Phase.SUCCEEDED
    assert len(search.starts()) == 9


def exported_h(search: LocalSearch) -> float:
    exported = status(search).exported
    assert exported is not None
    return exported.h


def status(search: LocalSearch) -> SearchStatus:
    return in_process.status(search.open())
