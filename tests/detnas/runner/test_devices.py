"""GPUs of this machine: shared out over the jobs of a run, none to two at once."""

from pathlib import Path
from typing import Any

import pytest

from detnas.plan.gpus import gpus_on_one_machine
from detnas.records.verbs import Verb
from detnas.runner.devices import Devices
from detnas.runner.job_server import JobCommand
from detnas.spec.manifest import SearchSpec
from tests.cluster.searches import manifest
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher


def test_devices_are_given_once_and_free_again_after_release() -> None:
    devices = Devices(("0", "1", "GPU-7"))
    assert [devices.take("a", 2), devices.take("b", 1)] == [("0", "1"), ("GPU-7",)]
    assert not devices.free
    devices.release("a")
    assert devices.free == ("0", "1")


@pytest.mark.parametrize(
    ("sections", "verb", "available", "expected"),
    [
        ({}, Verb.EVALUATE, 8, 1),
        ({}, Verb.EVALUATE, 0, 0),
        ({}, Verb.PREPARE, 8, 0),
        ({"evaluation": {"gpus": 0}}, Verb.EVALUATE, 8, 0),
        ({"evaluation": {"gpus": 4, "batchSize": 8}}, Verb.EVALUATE, 8, 4),
        ({"evaluation": {"gpus": 4, "batchSize": 8}}, Verb.EVALUATE, 3, 2),
        ({"evaluation": {"gpus": 4, "batchSize": 8}}, Verb.EXPORT, 8, 1),
        ({"teachers": {"workers": 2, "gpusPerWorker": 4}}, Verb.POOL, 16, 8),
        ({"teachers": {"workers": 2, "gpusPerWorker": 4}}, Verb.POOL, 7, 4),
    ],
)
def test_job_gets_the_gpus_that_it_wants_as_far_as_they_exist_and_divide_its_batch(
    sections: dict[str, Any], verb: Verb, available: int, expected: int
) -> None:
    spec = SearchSpec.model_validate(manifest("one", sections)["spec"])
    assert gpus_on_one_machine(verb, spec, available) == expected


def test_environment_of_a_job_names_its_gpus_and_shares_out_its_threads() -> None:
    def environment(devices: tuple[str, ...] | None) -> dict[str, str]:
        return JobCommand("evaluate", "uri", Path("log"), 4, devices).environment

    assert environment(None) == {"OMP_NUM_THREADS": "4"}
    assert environment(()) == {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": ""}
    assert environment(("2", "5")) == {
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "2,5",
        "DETNAS_PROCESSES_PER_WORKER": "2",
    }


def _devices(search: LocalSearch) -> list[tuple[str, str]]:
    lines = (search.folder / "devices.txt").read_text().split("\n")[:-1]
    return [(job, devices) for job, _, devices in (line.partition(" ") for line in lines)]


def test_trials_run_side_by_side_on_gpus_of_their_own(search: LocalSearch) -> None:
    search.run_here(QuietWatcher(), parallelism=2, devices=("3", "5"))
    found = _devices(search)
    assert ("prepare", "") in found
    trials = [devices for job, devices in found if job.isdecimal()]
    assert set(trials) == {"3", "5"}
    assert found[-1][1] in ("3", "5"), "the export measures latencies"


def test_trial_waits_for_a_gpu_where_there_are_fewer_than_trials(search: LocalSearch) -> None:
    search.run_here(QuietWatcher(), parallelism=3, devices=("0",))
    assert {devices for job, devices in _devices(search) if job != "prepare"} == {"0"}
    assert len(search.proposals()) == 6


def test_jobs_choose_no_gpu_on_a_machine_without_any(search: LocalSearch) -> None:
    search.run_here(QuietWatcher())
    assert {devices for _, devices in _devices(search)} == {"unset"}
