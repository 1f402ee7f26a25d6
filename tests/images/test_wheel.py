"""The wheel with what it depends on, and no extra, is enough to check a manifest."""

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from tests.images.distributions import dependencies
from tests.images.test_dockerfiles import BUILD_WHEEL

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "examples" / "digits" / "search-cluster.yaml"
NOT_NEEDED = ("torch", "mmdet", "aiohttp", "kubernetes", "plotly", "jinja2")


@pytest.fixture
def detnas(tmp_path: Path) -> Path:
    """The program in an environment that holds the wheel and its dependencies alone."""
    folder = tmp_path / "wheel"
    folder.mkdir()
    build = [sys.executable, "-c", BUILD_WHEEL, str(ROOT), str(folder)]
    built = subprocess.run(build, capture_output=True, check=True, text=True)
    (wheel,) = folder.glob("*.whl")
    assert built.stdout.split()[-1] == wheel.name
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    options = ("--quiet", "--no-deps", "--no-index")
    install: list[str | Path] = [python, "-m", "pip", "install", *options, wheel]
    subprocess.run(install, check=True, env=alone())
    (packages,) = (folder / "venv" / "lib").glob("python3.*/site-packages")
    (metadata,) = packages.glob("detnas-*.dist-info")
    # No test needs the network: what pip would download is taken from the tests' environment.
    for needed in dependencies(PathDistribution(metadata).requires or ()):
        adopt(needed, packages)
    return python.with_name("detnas")


def adopt(found: Distribution, packages: Path) -> None:
    """Link a distribution of this environment into another one."""
    tops = {file.parts[0] for file in found.files or () if file.parts[0] != ".."}
    for top in tops - {"__pycache__"}:
        source = Path(str(found.locate_file(top)))
        if source.exists() and not (packages / top).exists():
            (packages / top).symlink_to(source)


def alone() -> dict[str, str]:
    """The environment's variables, less those that lead Python elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=alone(), capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_wheel_without_extras_validates_a_manifest(detnas: Path, tmp_path: Path) -> None:
    script = f"import importlib.util as u; print([n for n in {NOT_NEEDED} if u.find_spec(n)])"
    assert run([detnas.with_name("python"), "-c", script], tmp_path).stdout == "[]\n"
    shutil.copy(MANIFEST, tmp_path / "search.yaml")
    done = run([detnas, "validate", "search.yaml", "--output", "json"], tmp_path)
    assert done.returncode == 0, done.stderr
    wrong = MANIFEST.read_text(encoding="utf-8").replace("trials:", "trails:")
    (tmp_path / "wrong.yaml").write_text(wrong, encoding="utf-8")
    done = run([detnas, "validate", "wrong.yaml"], tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "trails" in done.stdout + done.stderr
