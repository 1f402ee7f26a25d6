"""How many processors a process may use, in the cgroups that containers and services put it in."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from detnas.processors import affinity, processor_quota, processors, requested_threads

TWO = "200000 100000\n"


@dataclass
class Machine:
    """Folders that look like a machine's procfs and cgroups to one process."""

    folder: Path

    @property
    def process(self) -> Path:
        """The process's folder in procfs."""
        return self.folder / "proc"

    def joins(self, *lines: str) -> None:
        """Let the process be in these cgroups, a line of ``/proc/self/cgroup`` each."""
        self.process.mkdir(exist_ok=True)
        (self.process / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def mounts(self, *hierarchies: str) -> None:
        """Mount hierarchies, each ``folder root type options``; the folder is the type's name."""
        lines = ["22 28 0:20 / /proc rw,nosuid - proc proc rw"]
        for number, hierarchy in enumerate(hierarchies):
            name, root, kind, options = hierarchy.split()
            point = self.folder / "cgroups" / name
            lines.append(
                f"{30 + number} 23 0:{number} {root} {point} rw,nosuid shared:4 master:5 "
                f"- {kind} cgroup {options}"
            )
        self.process.mkdir(exist_ok=True)
        (self.process / "mountinfo").write_text("".join(f"{line}\n" for line in lines))

    def version_2(self, group: str, quota: str) -> None:
        """Limit a group of a hierarchy of version 2."""
        self._write(group, "cpu.max", quota)

    def version_1(self, group: str, quota: int, period: int = 100_000) -> None:
        """Limit a group of a hierarchy of version 1."""
        self._write(group, "cpu.cfs_quota_us", f"{quota}\n")
        self._write(group, "cpu.cfs_period_us", f"{period}\n")

    def _write(self, group: str, name: str, content: str) -> None:
        folder = self.folder / "cgroups" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_container_of_version_2_is_limited_by_its_own_quota(machine: Machine) -> None:
    machine.joins("0::/")
    machine.mounts("unified / cgroup2 rw,nsdelegate")
    machine.version_2("unified", "150000 100000\n")
    assert processor_quota(machine.process) == 1.5


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        (("max 100000\n", "400000 100000\n", TWO), 2.0),
        (("max 100000\n", TWO, "400000 100000\n"), 2.0),
        ((TWO, "max 100000\n", "max 100000\n"), 2.0),
        (("max 100000\n",) * 3, None),
    ],
)
def test_smallest_quota_on_the_way_up_counts(
    machine: Machine, quotas: tuple[str, ...], expected: float | None
) -> None:
    machine.joins("0::/kubepods/pod1/container")
    machine.mounts("unified / cgroup2 rw")
    for group, quota in zip(
        ("kubepods", "kubepods/pod1", "kubepods/pod1/container"), quotas, strict=True
    ):
        machine.version_2(f"unified/{group}", quota)
    machine.version_2("unified/kubepods/other", "100000 100000\n")
    assert processor_quota(machine.process) == expected


@pytest.mark.parametrize("root", ["/", "/docker/abc"])
def test_container_of_version_1_is_limited_by_its_quota(machine: Machine, root: str) -> None:
    # Docker mounts the container's own group, and names it as the host does.
    machine.joins("4:memory:/docker/abc", "3:cpu,cpuacct:/docker/abc", "1:name=systemd:/")
    machine.mounts("memory / cgroup rw,memory", f"cpu,cpuacct {root} cgroup rw,cpu,cpuacct")
    machine.version_1("cpu,cpuacct" if root != "/" else "cpu,cpuacct/docker/abc", 300_000)
    assert processor_quota(machine.process) == 3.0


def test_group_of_version_1_without_a_limit_limits_nothing(machine: Machine) -> None:
    machine.joins("1:cpu:/")
    machine.mounts("cpu / cgroup rw,cpu")
    machine.version_1("cpu", -1)
    assert processor_quota(machine.process) is None


def test_with_both_versions_mounted_the_one_with_the_limit_counts(machine: Machine) -> None:
    machine.joins("3:cpuset:/", "1:cpu:/services/job", "0::/services/job")
    machine.mounts(
        "cpuset / cgroup rw,cpuset", "cpu / cgroup rw,cpu", "unified / cgroup2 rw"
    )  # fmt: skip
    (machine.folder / "cgroups/unified/services/job").mkdir(parents=True)
    machine.version_1("cpu/services", 50_000, period=25_000)
    machine.version_1("cpu/services/job", -1)
    assert processor_quota(machine.process) == 2.0


def test_group_outside_the_mount_is_read_at_its_root(
    machine: Machine,
) -> None:
    machine.mounts("unified / cgroup2 rw")
    machine.version_2("unified", TWO)
    machine.version_2("other", "100000 100000\n")
    machine.joins("0::/../other")
    assert processor_quota(machine.process) == 2.0


@pytest.mark.parametrize("content", ["", "max", "many 100000", "200000 0", "-1 100000", "\0"])
def test_unreadable_quota_limits_nothing(machine: Machine, content: str) -> None:
    machine.joins("0::/")
    machine.mounts("unified / cgroup2 rw")
    machine.version_2("unified", content)
    assert processor_quota(machine.process) is None


def test_machine_without_cgroups_is_limited_by_its_processors(machine: Machine) -> None:
    assert processors(machine.process) == affinity()
    machine.joins("nonsense")
    machine.mounts()
    assert processors(machine.process) == affinity()


@pytest.mark.parametrize(
    ("quota", "expected"), [(10_000, 1), (100_000, 1), (190_000, 1), (250_000, 2), (9_000_000, 8)]
)
def test_processors_are_rounded_down_to_at_least_1_and_at_most_all(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, quota: int, expected: int
) -> None:
    monkeypatch.setattr("detnas.processors.affinity", lambda: 8)
    machine.joins("0::/")
    machine.mounts("unified / cgroup2 rw")
    machine.version_2("unified", f"{quota} 100000\n")
    assert processors(machine.process) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_process_bound_to_one_processor_has_one() -> None:
    code = (
        "import os; from detnas.processors import processors;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(processors())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout == "1\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3), (" 4 ", 4), ("4,2", 4), ("0", None), ("-1", None), ("all", None), ("", None)],
)
def test_threads_requested_takes_only_a_number(value: str, expected: int | None) -> None:
    assert requested_threads({"OMP_NUM_THREADS": value}) == expected
    assert requested_threads({}) is None
