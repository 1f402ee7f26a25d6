"""The workflows: what they run is there, and a linter is content with them."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.release.__main__ import main

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
HOSTS = re.compile(r"\b(ghcr|docker|quay|gcr|public\.ecr)\.(io|aws)\b")


def jobs(name: str) -> dict[str, Any]:
    """The jobs of a workflow."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def steps() -> Iterator[dict[str, Any]]:
    for file in WORKFLOWS:
        for job in jobs(file.stem).values():
            yield from job.get("steps", ())


def questions() -> Iterator[list[str]]:
    """Every call of tools.release, as the words of its command."""
    for step in steps():
        for line in step.get("run", "").replace("\\\n", " ").splitlines():
            if found := re.search(r"python3 -m tools\.release ([^)>]*)", line):
                yield shlex.split(found[1])


def test_ci_workflow_runs_the_test_command() -> None:
    assert [step["run"] for step in jobs("ci")["test"]["steps"] if "run" in step] == [".ci/run"]


def test_workflows_check_out_the_entire_history() -> None:
    for file in WORKFLOWS:
        for job in jobs(file.stem).values():
            steps = job.get("steps", ())
            if any(step.get("run") == ".ci/run" for step in steps):
                (checkout,) = (one for one in steps if "checkout@" in one.get("uses", ""))
                assert checkout["with"]["fetch-depth"] == 0


def test_workflow_uses_only_existing_release_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = list(questions())
    assert {words[0] for words in asked} == {"version", "registry", "index", "chart"}
    for words in asked:
        usual = {"$IMAGE": "operator", "$TAG": "v1.2.3", "$REGISTRY": ""}
        # Wrong options end argparse; a registry or a version that is wrong is a refusal.
        assert main([usual.get(word, word) for word in words]) == 1
        assert "✗" in capsys.readouterr().err


def test_release_waits_for_tests_and_chart_for_images() -> None:
    release = jobs("release")
    assert release["test"]["uses"] == "./.github/workflows/ci.yaml"
    assert "test" in release["images"]["needs"]
    assert "images" in release["index"]["needs"]
    assert "index" in release["chart"]["needs"]


def test_release_builds_both_platforms_with_sbom_and_provenance() -> None:
    images = jobs("release")["images"]
    matrix = images["strategy"]["matrix"]
    assert (matrix["image"], matrix["platform"]) == (["operator", "trainer"], ["amd64", "arm64"])
    assert {each["platform"] for each in matrix["include"]} == set(matrix["platform"])
    (build,) = [step["with"] for step in images["steps"] if step.get("id") == "build"]
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    for image in matrix["image"]:
        assert (ROOT / build["file"].replace("${{ matrix.image }}", image)).is_file()
    text = (ROOT / "dockerfiles/operator.Dockerfile").read_text()
    named = re.findall(r"^(\w+)=", build["build-args"], re.MULTILINE)
    assert named == ["VERSION", "REVISION"]
    assert all(f"ARG {name}=" in text for name in named)


def test_workflows_name_no_registry() -> None:
    for file in WORKFLOWS:
        assert not HOSTS.search(file.read_text(encoding="utf-8")), file


def test_workflow_scripts_contain_no_event_values() -> None:
    """The name of a branch or tag would become part of the script."""
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_workflows_pass_the_linter() -> None:
    linter = shutil.which("actionlint")
    if not linter:
        pytest.skip("no actionlint: go install github.com/rhysd/actionlint/cmd/actionlint@latest")
    done = subprocess.run(
        [linter, *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
