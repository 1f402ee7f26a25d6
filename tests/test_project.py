"""What holds for the repository as a whole: what is tracked, what is shipped, what is promised."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import detnas
from tools.manifest_reference import reference

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Spelt in parts, so that this file does not hold what it forbids.
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work|workspace|mnt|tmp)/\w")
REGISTRY_HOSTS = re.compile(
    r"(?:files\.pythonhosted|pypi|test\.pypi|download\.pytorch|proxy\.golang)" + r"\.(?:org|io)"
    r"|[\w-]+\.(?:jfrog\.io|pkg\.dev|local/simple)|[/]simple[/]"
)

COMPATIBLE = re.compile(
    r"apache|\bmit\b|bsd|\bisc\b|iscl|mpl-?2|mozilla public license 2|psf|python software found"
    r"|\bhpnd\b|mit-cmu|unlicense|\bzlib\b|0bsd|bsl-1|matplotlib",
    re.IGNORECASE,
)
INCOMPATIBLE = re.compile(r"\b(?:a|l)?gpl|gnu |non-?commercial|cc-by-nc", re.IGNORECASE)
# Redistributable libraries that torch's CUDA builds load; they are not part of a distribution.
CUDA_LIBRARIES = re.compile(r"^(nvidia|cuda)-")


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def matches(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for file in tracked_files():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(lines, start=1)
            if pattern.search(line)
        ]
    return found


def test_tracked_files_name_no_path_of_a_machine() -> None:
    assert matches(MACHINE_PATHS) == []


def test_tracked_files_name_no_registry_host() -> None:
    assert matches(REGISTRY_HOSTS) == []


def test_version_is_the_same_everywhere() -> None:
    assert importlib.metadata.version("detnas") == PROJECT["version"]
    assert getattr(detnas, "__version__", PROJECT["version"]) == PROJECT["version"]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The distribution's wheel, built without the network."""
    target = tmp_path_factory.mktemp("wheel")
    build = (
        "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_wheel; "
        "print(build_wheel(sys.argv[2]))"
    )
    built = subprocess.run(
        [sys.executable, "-c", build, str(ROOT), str(target)],
        capture_output=True,
        check=True,
        text=True,
    )
    return zipfile.ZipFile(target / built.stdout.split()[-1])


def test_wheel_holds_every_file_of_both_packages(wheel: zipfile.ZipFile) -> None:
    packages = {
        ROOT / "detnas": "detnas",
        ROOT / "trainer/detnas_trainer": "detnas_trainer",
        ROOT / "operator/detnas_operator": "detnas_operator",
    }
    expected = {
        f"{name}/{file.relative_to(folder)}"
        for folder, name in packages.items()
        for file in tracked_files()
        if file.is_relative_to(folder)
    }
    assert expected
    assert expected <= set(wheel.namelist())


def test_wheel_holds_packages_and_licence_only(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    information = f"detnas-{PROJECT['version']}.dist-info"
    assert top == {"detnas", "detnas_operator", "detnas_trainer", information}
    assert f"{information}/licenses/LICENSE" in wheel.namelist()


def test_readme_commands_exist() -> None:
    named = set(re.findall(r"python3 dev\.py (\w+)", (ROOT / "README.md").read_text()))
    assert {"example", "test"} <= named
    usage = subprocess.run(
        [sys.executable, ROOT / "dev.py", "--help"], capture_output=True, check=True, text=True
    ).stdout
    offered = set(re.findall(r"^    (\w+) ", usage, re.MULTILINE))
    assert named <= offered


def test_continuous_integration_runs_the_test_command() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "python3 dev.py test" in script.read_text()


def test_documents_link_to_files_that_exist() -> None:
    documents = [file for file in tracked_files() if file.suffix == ".md"]
    broken = [
        f"{file.relative_to(ROOT)}: {link}"
        for file in documents
        for link in re.findall(r"\]\((?!\w+:|#)([^)#]+)", file.read_text())
        if not (file.parent / link).exists()
    ]
    assert broken == []


def dependencies() -> dict[str, importlib.metadata.Distribution]:
    """Every installed distribution that ours needs, in any extra, directly or not."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [Requirement(line) for line in importlib.metadata.requires("detnas") or []]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop().name).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # asked for on another platform, or by an extra that nobody uses
        needed = [Requirement(line) for line in found[name].requires or []]
        waiting += [one for one in needed if "extra" not in str(one.marker)]
    return found


def licence(distribution: importlib.metadata.Distribution) -> str:
    """What its metadata says, else the head of its licence file."""
    metadata = distribution.metadata
    stated = [
        *(metadata.get_all("License-Expression") or []),
        *(one[:2000] for one in metadata.get_all("License") or []),
        *(one for one in metadata.get_all("Classifier") or [] if one.startswith("License")),
    ]
    text = " ".join(one for one in stated if one not in ("", "UNKNOWN"))
    return text or " ".join(
        Path(str(file.locate())).read_text(errors="replace")[:500]
        for file in distribution.files or []
        if re.match(r"(?i)(licen[cs]e|copying)", file.name)
    )


def test_licences_of_dependencies_are_compatible() -> None:
    found = dependencies()
    assert {"torch", "pydantic", "onedl-mmcv"} <= set(found)
    stated = {
        name: licence(distribution)
        for name, distribution in found.items()
        if not CUDA_LIBRARIES.match(name)
    }
    unfit = {
        name: text[:200]
        for name, text in stated.items()
        if not COMPATIBLE.search(text) or INCOMPATIBLE.search(text)
    }
    assert unfit == {}


def test_the_manifests_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m tools.manifest_reference"
