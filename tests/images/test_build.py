"""The operator's image, built from its Dockerfile; a base of this machine replaces the public one.

Nothing is downloaded: wheels of what is installed beside the tests take the place of an index.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import detnas
from tests.images.distributions import dependencies, wheel
from tests.images.stand_in import WHEELS, make_base
from tools.node.images import PODMAN, ImageBuilder
from tools.node.missing import IMAGE_PROGRAMS

ROOT = Path(__file__).parents[2]
BASE = f"localhost/detnas-test-base:{os.getpid()}"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def why_not() -> str:
    """What keeps this machine from building an image; nothing if it can."""
    missing = [name for name in IMAGE_PROGRAMS if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "podman builds with runc only as root"
    if sys.version_info[:2] != (3, 11):
        return "the image has Python 3.11, and these tests run with another"
    return ""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    """The operator's image."""
    rootfs = tmp_path / "rootfs"
    wheels = rootfs / WHEELS
    wheels.mkdir(parents=True)
    needed = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]
    wanted = [*needed[0], *needed[1]["operator"], *PROJECT["build-system"]["requires"]]
    for each in dependencies(wanted):
        wheel(each, wheels)
    make_base(BASE, rootfs)
    shutil.rmtree(rootfs)
    alone = ("--network", "none", "--layers=false")  # nothing from outside, nothing is left
    built = ImageBuilder(ROOT, tmp_path).build("operator", BASE, f"test-{os.getpid()}", alone)
    yield built
    subprocess.run([*PODMAN, "rmi", "--force", built, BASE], capture_output=True, check=False)


def run(image: str, *arguments: str, entrypoint: str = "") -> subprocess.CompletedProcess[str]:
    """Run the image as a cluster does: another user, a root file system that is read-only."""
    command = [
        *(*PODMAN, "run", "--rm", "--network", "none"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
        *(["--entrypoint", entrypoint] if entrypoint else []),
        *(image, *arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check_it_starts(image: str) -> None:
    done = run(image, "--version")
    assert done.returncode == 0, done.stderr
    assert detnas.__version__ in done.stdout


def check_it_says_what_is_wrong_with_its_configuration(image: str) -> None:
    done = run(image, "--config", "/etc/detnas/operator.yaml")
    assert done.returncode == 2, done.stderr
    assert "/etc/detnas/operator.yaml" in done.stderr


def check_it_holds_all_that_it_imports(image: str) -> None:
    operator = "detnas_operator.controller.controller, detnas_operator.reconcile.reconciler"
    modules = f"{operator}, detnas.cli.app"
    done = run(image, "-c", f"import {modules}", entrypoint="python")
    assert done.returncode == 0, done.stderr


def check_it_holds_no_installer_and_none_of_the_trainers_packages(image: str) -> None:
    names = ("pip", "torch", "hatchling")
    script = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert run(image, "-c", script, entrypoint="python").stdout == "[]\n"


def test_operator_image_builds_and_starts_as_its_pod(image: str) -> None:
    # One test: several would build the image once for each process that runs tests.
    check_it_starts(image)
    check_it_says_what_is_wrong_with_its_configuration(image)
    check_it_holds_all_that_it_imports(image)
    check_it_holds_no_installer_and_none_of_the_trainers_packages(image)
