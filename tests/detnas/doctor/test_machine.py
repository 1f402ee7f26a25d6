"""What `detnas doctor` says of a machine's facts, and of the trainer's answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detnas.doctor.machine import GIGA, Disk, MachineFacts, machine_facts, machine_findings
from detnas.doctor.trainer import ask_trainer_machine, trainer_findings
from detnas.findings import Finding, Verdict
from detnas.records.trainer_machine import GpuFacts, TrainerMachine

SOUND = MachineFacts(
    python=(3, 12, 1),
    platform="Linux x86_64",
    processor="a processor",
    affinity=8,
    quota=None,
    threads=None,
    memory=32 * GIGA,
    shared_memory=8 * GIGA,
    disks={"store /runs": Disk(100 * GIGA)},
)
TRAINER = TrainerMachine(versions={"torch": "2.11", "mmdet": "3.5"}, cuda="12.8", threads=8)
H200 = GpuFacts(name="H200", memory=140 << 30)


def judged(jobs: int = 2, gpus: int = 0, **facts: Any) -> dict[str, Finding]:
    found = machine_findings(replace(SOUND, **facts), jobs, gpus)
    return {one.what: one for one in found}


def test_a_sound_machine_has_only_good_findings() -> None:
    assert {one.verdict for one in judged().values()} == {Verdict.OK}


@pytest.mark.parametrize(
    ("facts", "what", "verdict", "remedy"),
    [
        ({"python": (3, 10, 4)}, "Python", "fault", "Python 3.11 to 3.13"),
        ({"quota": 0.5}, "processors", "warning", "CPU quota"),
        ({"threads": 64}, "processors", "warning", "unset OMP_NUM_THREADS"),
        ({"memory": GIGA}, "memory", "fault", "2.0 GB at least"),
        ({"memory": 3 * GIGA}, "memory", "warning", "search.parallelism to 1"),
        ({"shared_memory": 64 << 20}, "shared memory", "warning", "--shm-size"),
        ({"disks": {"store": Disk(GIGA // 2)}}, "store", "fault", "free space"),
        ({"disks": {"store": Disk(5 * GIGA)}}, "store", "warning", "detnas estimate"),
        ({"disks": {"store": Disk(0, "/x is read-only to you")}}, "store", "fault", "writable"),
    ],
)
def test_each_shortage_has_its_remedy(
    facts: dict[str, Any], what: str, verdict: str, remedy: str
) -> None:
    found = judged(**facts)[what]
    assert found.verdict == verdict
    assert remedy in found.remedy


def test_little_shared_memory_is_a_fault_where_ranks_share_a_job() -> None:
    assert judged(gpus=4, shared_memory=64 << 20)["shared memory"].verdict is Verdict.FAULT


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    facts = machine_facts({"store": tmp_path / "not" / "yet"})
    (disk,) = facts.disks.values()
    assert disk.free > 0
    assert disk.problem == ""
    assert facts.memory is None or facts.memory > 0


def of(what: str, answer: TrainerMachine, driver: int = 0, *, wants: bool = False) -> Finding:
    found = trainer_findings(answer, driver, wants_gpu=wants)
    return next(one for one in found if one.what.startswith(what))


@pytest.mark.parametrize(
    ("change", "driver", "verdict", "says"),
    [
        ({}, 0, "ok", "none; jobs run on processors"),
        ({"gpus": (H200,)}, 1, "ok", "H200 (140 GiB); torch for CUDA 12.8"),
        ({"cuda": ""}, 2, "fault", "the driver shows 2, and torch can use none: it was built"),
        ({"gpu_problem": "driver too old"}, 1, "fault", "driver too old (torch for CUDA 12.8)"),
        (
            {"gpus": (H200.model_copy(update={"problem": "no kernel image"}),)},
            1,
            "fault",
            "H200: no kernel image",
        ),
    ],
)
def test_gpus_are_judged_with_the_driver(
    change: dict[str, Any], driver: int, verdict: str, says: str
) -> None:
    found = of("GPU", TRAINER.model_copy(update=change), driver)
    assert found.verdict == verdict
    assert says in found.found


def test_a_missing_gpu_matters_only_if_the_manifest_asks_for_one() -> None:
    assert of("GPU", TRAINER, wants=True).verdict is Verdict.WARNING


def test_broken_libraries_and_operators_are_faults() -> None:
    broken = TRAINER.model_copy(
        update={"missing": {"mmdet": "ImportError: x"}, "operators_problem": "undefined symbol"}
    )
    assert of("library mmdet", broken).verdict is Verdict.FAULT
    assert "--no-binary onedl-mmcv" in of("mmcv's operators", broken).remedy


def test_a_trainer_that_does_not_answer_is_a_fault() -> None:
    found = ask_trainer_machine(("sh", "-c", "echo 'no module named torch' >&2; exit 3"))
    assert isinstance(found, Finding)
    assert "ended with 3: no module named torch" in found.found
