"""What the release workflow asks `tools.release`, and what it is answered."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import detnas
from tests.chart.rendering import Chart, Values
from tools.kubernetes.binaries import find
from tools.process import StepFailed
from tools.release.__main__ import main, registry_of
from tools.release.version import check_project, read_tag

ROOT = Path(__file__).parents[2]
TAG = f"v{detnas.__version__}"
DIGESTS = ("1" * 64, "a" * 64)
PLACE = "registry.example.com/team"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    """The lines that a question is answered with."""
    assert main([str(each) for each in arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out.splitlines()


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Why a question is not answered; nothing that a step could take for an answer is printed."""
    assert main([str(each) for each in arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.parametrize(
    ("tag", "text", "python", "tags"),
    [
        ("v1.2.3", "1.2.3", "1.2.3", ["1.2.3", "1.2"]),
        ("v0.10.0", "0.10.0", "0.10.0", ["0.10.0", "0.10"]),
        ("v1.2.3-rc.1", "1.2.3-rc.1", "1.2.3rc1", ["1.2.3-rc.1"]),
        ("v2.0.0-alpha.12", "2.0.0-alpha.12", "2.0.0a12", ["2.0.0-alpha.12"]),
        ("v2.0.0-beta.0", "2.0.0-beta.0", "2.0.0b0", ["2.0.0-beta.0"]),
    ],
)
def test_version_and_image_tags_come_from_the_tag(
    tag: str, text: str, python: str, tags: list[str]
) -> None:
    version = read_tag(tag)
    assert (version.text, version.python, version.image_tags()) == (text, python, tags)


@pytest.mark.parametrize(
    "tag",
    ["1.2.3", "v1.2", "v1.2.3.4", "v01.2.3", "v1.2.3-rc1", "v1.2.3+build", "vx", "", "v1.2.3\n"],
)
def test_tag_without_a_version_is_refused(tag: str) -> None:
    with pytest.raises(StepFailed, match=r"names no version: write v1\.2\.3"):
        read_tag(tag)


def test_tag_of_the_sources_version_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "version", "--tag", TAG) == [detnas.__version__]


def test_tag_of_another_version_is_refused_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refusal(capsys, "version", "--tag", "v99.0.0-rc.1")
    assert f"pyproject.toml has version '{detnas.__version__}'" in said
    assert "set '99.0.0rc1' there" in said
    check_project(read_tag(TAG), ROOT)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (PLACE, PLACE),
        (f"{PLACE}/", PLACE),
        ("Registry.Example.com:5000/Team", "registry.example.com:5000/team"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_registry_is_normalized_as_in_image_references(given: str, used: str) -> None:
    assert registry_of(given) == used


@pytest.mark.parametrize("given", ["", "https://registry.example.com", "a b"])
def test_missing_or_wrong_registry_is_refused(
    capsys: pytest.CaptureFixture[str], given: str
) -> None:
    assert "set the repository variable REGISTRY" in refusal(
        capsys, "registry", "--registry", given
    )


def test_images_of_all_platforms_are_joined_under_every_tag(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for digest in DIGESTS:
        (tmp_path / digest).touch()
    place = ("--tag", "v1.2.3", "--registry", PLACE, "--digests", tmp_path, "--platforms", "2")
    assert answer(capsys, "index", "trainer", *place) == [
        f"--tag={PLACE}/detnas-trainer:1.2.3",
        f"--tag={PLACE}/detnas-trainer:1.2",
        *(f"{PLACE}/detnas-trainer@sha256:{digest}" for digest in DIGESTS),
    ]


@pytest.mark.parametrize("files", [(), DIGESTS[:1], (*DIGESTS, "b" * 64), ("x", DIGESTS[0])])
def test_index_without_every_platform_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: tuple[str, ...]
) -> None:
    for name in files:
        (tmp_path / name).touch()
    place = ("--tag", "v1.2.3", "--registry", PLACE, "--digests", tmp_path, "--platforms", "2")
    assert "one file for each of 2 platforms" in refusal(capsys, "index", "operator", *place)


@pytest.fixture
def stamped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """The chart of a release."""
    place = ("--registry", PLACE, "--home", "https://example.org/detnas", "--target", tmp_path)
    (folder,) = answer(capsys, "chart", "--tag", "v7.8.9-rc.2", *place)
    return Path(folder)


def test_released_chart_has_version_and_home(stamped: Path) -> None:
    before = yaml.safe_load((ROOT / "charts/detnas/Chart.yaml").read_text())
    after = yaml.safe_load((stamped / "Chart.yaml").read_text())
    assert after == before | {
        "version": "7.8.9-rc.2",
        "appVersion": "7.8.9-rc.2",
        "home": "https://example.org/detnas",
    }


def test_released_chart_changes_only_its_images(stamped: Path) -> None:
    before = yaml.safe_load((ROOT / "charts/detnas/values.yaml").read_text())
    before["image"]["repository"] = f"{PLACE}/detnas-operator"
    before["trainer"]["image"]["repository"] = f"{PLACE}/detnas-trainer"
    assert yaml.safe_load((stamped / "values.yaml").read_text()) == before
    names = {str(file.relative_to(stamped)) for file in stamped.rglob("*") if file.is_file()}
    sources = ROOT / "charts/detnas"
    assert names == {
        str(file.relative_to(sources)) for file in sources.rglob("*") if file.is_file()
    }


STORAGE: Values = {
    "storage": {"allowed": ["s3://bucket"], "credentials": {"existingSecret": "keys"}},
    "metrics": {"prometheusRule": {"enabled": True, "force": True}},
}


def test_released_chart_renders_without_images_and_links_runbooks(
    stamped: Path,
) -> None:
    helm = find("helm")
    if not helm:
        pytest.skip("no helm: run python3 dev.py kubernetes")
    objects = Chart(helm, stamped).render(STORAGE)
    assert objects.container["image"] == f"{PLACE}/detnas-operator:7.8.9-rc.2"
    assert objects.settings["trainer"]["image"] == f"{PLACE}/detnas-trainer:7.8.9-rc.2"
    (group,) = objects.one("PrometheusRule")["spec"]["groups"]
    link = group["rules"][0]["annotations"]["runbook_url"]
    page = "https://example.org/detnas/blob/v7.8.9-rc.2/docs/operator.md"
    assert re.fullmatch(rf"{re.escape(page)}#\w+", link)


def test_release_tool_needs_no_package(tmp_path: Path) -> None:
    """The workflow calls it with a bare Python."""
    command = [sys.executable, "-S", "-m", "tools.release", "version", "--tag", TAG]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{detnas.__version__}\n"), done.stderr
