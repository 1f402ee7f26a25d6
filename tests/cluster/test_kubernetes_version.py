"""One variable chooses the Kubernetes that the tests run on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.kubernetes.binaries import DEFAULT, MODULES, RELEASES

ROOT = Path(__file__).parents[2]
SHOWS = "from tools.kubernetes import cache_folder, find; print(cache_folder().name, find('etcd'))"


def shown(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What is chosen on a machine whose `KUBEBUILDER_ASSETS` has an etcd."""
    (tmp_path / "etcd").touch(mode=0o755)
    own = {"KUBEBUILDER_ASSETS": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **own, **variables}
    return subprocess.run(
        [sys.executable, "-c", SHOWS], env=environment, capture_output=True, text=True, check=False
    )


def test_find_uses_only_the_requested_release(tmp_path: Path) -> None:
    assert shown(tmp_path, KUBERNETES_VERSION="1.37").stdout == "v1.37.0 None\n"
    assert shown(tmp_path).stdout == f"{RELEASES[DEFAULT][0]} {tmp_path / 'etcd'}\n"


def test_find_names_the_known_releases(tmp_path: Path) -> None:
    done = shown(tmp_path, KUBERNETES_VERSION="1.99")
    assert done.returncode == 1
    assert "there are 1.34, 1.37" in done.stderr


@pytest.mark.parametrize("minor", RELEASES)
def test_build_uses_the_modules_of_the_release(minor: str) -> None:
    version, folder = RELEASES[minor]
    pinned = (MODULES / folder / "go.mod").read_text()
    assert f"k8s.io/kubernetes {version} " in pinned
    assert f"k8s.io/apiserver => k8s.io/apiserver v0{version.removeprefix('v1')}" in pinned
