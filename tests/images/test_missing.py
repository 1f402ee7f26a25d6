"""A machine that can not run the end-to-end test is told what it lacks."""

import os
from pathlib import Path

import pytest

from tools.node import missing
from tools.node.layout import Layout
from tools.process import StepFailed


def refusal(gigabytes: int = 0) -> str:
    with pytest.raises(StepFailed) as refused:
        missing.check(Layout(), base_from_packages=True, gigabytes=gigabytes)
    return str(refused.value)


def test_missing_programs_are_named_with_the_command_that_installs_them(
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


def test_packages_are_not_asked_for_where_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*missing.NODE_PROGRAMS, *missing.IMAGE_PROGRAMS, "debootstrap", "apt-get"):
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "bridge").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(missing, "CNI_FOLDERS", (tmp_path,))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "apt-get" not in refusal()
    assert "run the command with sudo" in refusal()


def test_a_folder_too_deep_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", f"/{'deep/' * 30}")
    assert "set XDG_CACHE_HOME" in refusal()


def test_a_full_disk_is_refused_before_anything_is_built() -> None:
    assert "about 1000000000 GB are needed" in refusal(gigabytes=10**9)
