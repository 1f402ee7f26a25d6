"""A machine that cannot run the end-to-end test is refused with what it lacks."""

import os
import platform
from pathlib import Path

import pytest

from tools.node import missing
from tools.node.daemons import Layout
from tools.process import StepFailed


def refusal(gigabytes: int = 0) -> str:
    with pytest.raises(StepFailed) as refused:
        missing.check(Layout(), base_from_packages=True, gigabytes=gigabytes)
    return str(refused.value)


def test_missing_programs_are_named_with_their_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(missing, "CNI_FOLDERS", ())
    said = refusal()
    assert "containerd, ctr, runc" in said
    install = next(line for line in said.splitlines() if "apt-get install" in line)
    assert {"containerd", "containernetworking-plugins", "debootstrap", "podman"} <= set(
        install.split()
    )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that lacks nothing: the folder of its programs, and of its cgroups."""
    for name in (*missing.NODE_PROGRAMS, *missing.IMAGE_PROGRAMS, "debootstrap", "apt-get"):
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "bridge").touch()
    (tmp_path / "cgroup.procs").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/tmp")
    monkeypatch.setattr(missing, "CNI_FOLDERS", (tmp_path,))
    monkeypatch.setattr(missing, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    return tmp_path


def test_complete_machine_is_accepted(machine: Path) -> None:
    missing.check(Layout(), base_from_packages=True, gigabytes=0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("containerd", "containerd cannot be found; on Debian:\n    apt-get install -y"),
        ("runc", "--no-install-recommends runc"),
        ("nft", "--no-install-recommends nftables"),
        ("ip", "--no-install-recommends iproute2"),
        ("podman", "--no-install-recommends podman"),
        ("debootstrap", "--no-install-recommends debootstrap"),
        ("bridge", "the network plug-in bridge cannot be found"),
        ("cgroup.procs", "holds no cgroups; mount them"),
    ],
)
def test_single_missing_program_is_named_alone(machine: Path, name: str, said: str) -> None:
    (machine / name).unlink()
    assert said in refusal()
    assert refusal().count("\n  - ") == 1


def test_supplied_base_needs_no_debootstrap(machine: Path) -> None:
    (machine / "debootstrap").unlink()
    missing.check(Layout(), base_from_packages=False, gigabytes=0)


def test_other_user_than_root_is_advised_sudo_only(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "apt-get" not in refusal()
    assert "run the command with sudo" in refusal()


def test_all_missing_programs_are_reported_together(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (machine / "runc").unlink()
    said = refusal(gigabytes=10**9)
    assert all(word in said for word in ("sudo", "runc", "GB are needed"))


def test_other_system_than_linux_is_the_only_report(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    (machine / "containerd").unlink()
    assert refusal().count("\n  - ") == 1
    assert "needs Linux; run it in a virtual machine" in refusal()


def test_folder_too_deep_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", f"/{'deep/' * 30}")
    assert "set XDG_CACHE_HOME" in refusal()


def test_full_disk_is_refused_before_anything_is_built() -> None:
    assert "about 1000000000 GB are needed" in refusal(gigabytes=10**9)
