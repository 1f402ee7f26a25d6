"""What builders and users of the images rely on, read from their Dockerfiles."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import detnas

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "dockerfiles").glob("*.Dockerfile"))
BUILD_WHEEL = (
    "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_wheel; "
    "print(build_wheel(sys.argv[2]))"
)


@pytest.fixture(params=DOCKERFILES, ids=lambda file: file.stem)
def instructions(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, as (KEYWORD, the rest)."""
    text = re.sub(r"^\s*#.*\n", "", request.param.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def test_both_images_have_a_dockerfile() -> None:
    assert [file.stem for file in DOCKERFILES] == ["operator", "trainer"]


def test_dockerfile_bases_are_arguments(
    instructions: list[tuple[str, str]],
) -> None:
    stages = [
        re.findall(r"(\S+)(?: AS (\S+))?$", rest)[0] for it, rest in instructions if it == "FROM"
    ]
    names = {name for _, name in stages}
    foreign = {image for image, _ in stages} - names - {"${BASE}"}
    assert foreign == set()
    assert stages[-1][0] == "${BASE}"


def test_images_run_as_a_numeric_user_other_than_root(instructions: list[tuple[str, str]]) -> None:
    # A kubelet can tell that a user is not root only by its number.
    assert ("USER", "65532:65532") in instructions
    assert instructions[-1][0] == "ENTRYPOINT"
    last = max(number for number, (it, _) in enumerate(instructions) if it == "RUN")
    assert instructions.index(("USER", "65532:65532")) > last


def test_images_install_the_tested_versions(
    instructions: list[tuple[str, str]],
) -> None:
    constrained: dict[str, bool] = {}
    stage, installations = "", 0
    for keyword, rest in instructions:
        if keyword == "FROM":
            image, _, stage = rest.partition(" AS ")
            constrained[stage] = constrained.get(image, False)
        elif keyword == "ENV" and "PIP_CONSTRAINT=/build/constraints.txt" in rest:
            constrained[stage] = True
        elif keyword == "RUN" and re.search(r"bin/pip", rest):
            installations += 1
            assert constrained[stage], f"{stage}: {rest}"
    assert installations >= 2


@pytest.mark.parametrize("name", ["operator", "trainer"])
def test_readme_and_chart_name_the_same_image(name: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    built = re.findall(rf"^docker build -f dockerfiles/{name}\.Dockerfile -t (\S+) \.$", text, re.M)
    (reference,) = built
    assert f"\ndocker push {reference}\n" in text
    repository, _, tag = reference.rpartition(":")
    assert f"repository: {repository}}}" in text
    assert tag == detnas.__version__


@pytest.mark.parametrize(
    ("extras", "there", "not_there"),
    [
        (["operator"], "kubernetes", "torch"),
        (["trainer", "export"], "torch", "kubernetes"),
        (["trainer", "export"], "onnxruntime", "kubernetes"),
    ],
)
def test_image_contains_its_own_packages_only(
    extras: list[str], there: str, not_there: str
) -> None:
    script = ROOT / "dockerfiles" / "requirements.py"
    command = [sys.executable, str(script), str(ROOT / "pyproject.toml"), *extras]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    names = {re.split(r"[^\w-]", line)[0] for line in listed.splitlines()}
    assert {"pydantic", there} <= names
    assert not_there not in names


def test_build_context_contains_the_distribution(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source = ROOT / line[1:]
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, context / source.name)
    assert _wheel(context, tmp_path) == _wheel(ROOT, tmp_path)


def _wheel(source: Path, target: Path) -> set[str]:
    command = [sys.executable, "-c", BUILD_WHEEL, str(source), str(target)]
    built = subprocess.run(command, capture_output=True, check=True, text=True)
    with zipfile.ZipFile(target / built.stdout.split()[-1]) as wheel:
        return {name for name in wheel.namelist() if "__pycache__" not in name}
