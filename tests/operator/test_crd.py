"""The definition of DetNASSearch on a real API server: what it refuses, keeps and shows."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from detnas.cli import main
from detnas.resource import ResourceStatus
from detnas.resource.rules import RULES
from detnas.resource.transitions import fixed_paths
from detnas.spec import SearchSpec
from tests.cluster.api import NAMESPACES, ApiError, Document
from tests.cluster.api import SEARCHES as SEARCHES_PATH
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import make_namespace
from tests.cluster.processes import Command
from tests.detnas.resource.largest import largest_status
from tests.detnas.spec.manifests import MINIMAL, REMOVED, Wrong, changed
from tests.detnas.spec.valid_manifests import EVERYTHING, VALID
from tests.detnas.spec.wrong_manifests import WRONG

ROOT = Path(__file__).parents[2]
SEARCHES = "apis/detnas.dev/v1alpha1/namespaces/{}/detnassearches"
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}


def create(cluster: ControlPlane, manifest: Document, **query: str) -> Document:
    return cluster.api.request("POST", SEARCHES.format("default"), manifest, **query)


def refused(cluster: ControlPlane, manifest: Document) -> list[str]:
    """What a strict dry run says against a manifest, a line for each field."""
    with pytest.raises(ApiError) as caught:
        create(cluster, manifest, **STRICT)
    return findings(caught.value)


def findings(error: ApiError) -> list[str]:
    causes = error.body.get("details", {}).get("causes", [])
    lines = [f"{cause.get('field', '')}: {cause['message']}" for cause in causes]
    return lines or [error.body["message"]]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_definition_refuses_what_the_command_line_refuses(
    cluster: ControlPlane, wrong: Wrong
) -> None:
    said = (wrong.server or wrong.said).lower()
    lines = refused(cluster, wrong.manifest)
    assert any(wrong.field in line and said in line.lower() for line in lines), lines


def test_definition_enforces_every_rule(cluster: ControlPlane) -> None:
    said = "\n".join(line for wrong in WRONG.values() for line in refused(cluster, wrong.manifest))
    rules = {rule.message for section in RULES.values() for rule in section}
    assert [message for message in rules if message not in said] == []


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_definition_accepts_what_the_command_line_accepts(
    cluster: ControlPlane, manifest: Document
) -> None:
    created = create(cluster, manifest, **STRICT)
    present = {key: value for key, value in manifest["spec"].items() if value is not None}
    assert created["spec"] == present  # nothing pruned, nothing filled in


@pytest.fixture(scope="module")
def searches(cluster: ControlPlane) -> Iterator[dict[str, Document]]:
    """A search that says everything, one that says the least, and one to give a status to."""
    namespace = make_namespace(cluster)
    named = {name: changed("metadata.name", name) for name in ("least", "told")}
    documents = {"everything": EVERYTHING, **named}
    yield {
        name: cluster.api.create(document, namespace, fieldValidation="Strict")
        for name, document in documents.items()
    }
    cluster.api.delete(NAMESPACES, "", namespace)


def change(cluster: ControlPlane, search: Document, path: str, value: object) -> Document:
    """Replace the search by one with another value at a path, as a dry run."""
    metadata = search["metadata"]
    place = f"{SEARCHES.format(metadata['namespace'])}/{metadata['name']}"
    return cluster.api.request("PUT", place, changed(path, value, search), **STRICT)


MUTABLE = {
    "suspend": False,
    "search.trials": 5,
    "search.parallelism": 5,
    "search.patience": 5,
    "limits.gpuHours": "7",
    "limits.retries": 7,
    "deadlines.trial": 7,
    "modelCard.license": "mit",
    "retention.weights": "Needed",
    "storage.onDelete": "Retain",
    "jobs.resources": {"memory": "64Gi"},
    "jobs.nodeSelector": {"pool": "new"},
    "jobs.prepare": {"nodeSelector": {}},
    "limits": {"consecutiveFailures": 3},
    "deadlines": {},
    "retention": {},
    "export": {"formats": ["Onnx"], "precisions": ["INT8"]},
    "objectives": [{"maxFlops": 1}],
    "baselines": ["Scaled"],
}


@pytest.mark.parametrize("path", MUTABLE)
@pytest.mark.parametrize("name", ["everything", "least"])
def test_definition_accepts_changes_of_changeable_fields(
    cluster: ControlPlane, searches: dict[str, Document], name: str, path: str
) -> None:
    changed_search = change(cluster, searches[name], f"spec.{path}", MUTABLE[path])
    value = changed_search["spec"]
    for part in path.split("."):
        value = value[part]
    assert value == MUTABLE[path]


@pytest.mark.parametrize("path", MUTABLE)
def test_definition_accepts_removal_of_changeable_fields(
    cluster: ControlPlane, searches: dict[str, Document], path: str
) -> None:
    assert change(cluster, searches["everything"], f"spec.{path}", REMOVED)


FIXED = {
    "base": MINIMAL["spec"]["base"],
    "dataset": MINIMAL["spec"]["dataset"],
    "detector": {"neck": 32},
    "resolutions": ["64x64"],
    "teachers": {"seed": 1},
    "search.strategy": "Random",
    "search.topK": 3,
    "search.warmupTrials": 3,
    "search.alpha": "0.3",
    "search.beta": "0.3",
    "search.studentProbability": "0.3",
    "search.selection": "Observed",
    "search.objective": "Latency",
    "search.seed": 3,
    "search.actions": {},
    "evaluation": {"epochs": 3},
    "distillation": {},
    "finetune": {},
    "storage.uri": "s3://elsewhere",
    "evaluationBatch": 3,
    "warmStart": {"from": "third"},
    "jobs.image": "other:1",
}
REQUIRED = ("base", "dataset")


def test_every_field_is_changeable_or_fixed() -> None:
    assert set(FIXED) == {".".join(path) for path in fixed_paths()}
    named = {path.split(".")[0] for path in (*FIXED, *MUTABLE)}
    assert named == {field.alias for field in SearchSpec.model_fields.values()}


def assert_fixed(lines: list[str], path: str) -> None:
    said = f"spec.{path} is fixed once the search exists; put it back, or change it in a new search"
    lines = [line for line in lines if said in line]  # a removal may break another rule as well
    assert any(line.startswith(f"spec.{path}: ") for line in lines), lines
    how = ("delete this one and apply it again", "spec.warmStart.from")
    assert all(word in line for line in lines for word in how), lines


def refused_change(cluster: ControlPlane, search: Document, path: str, value: object) -> list[str]:
    with pytest.raises(ApiError) as caught:
        change(cluster, search, f"spec.{path}", value)
    return findings(caught.value)


@pytest.mark.parametrize("path", FIXED)
def test_definition_refuses_changes_of_fixed_fields(
    cluster: ControlPlane, searches: dict[str, Document], path: str
) -> None:
    assert_fixed(refused_change(cluster, searches["everything"], path, FIXED[path]), path)


@pytest.mark.parametrize("path", [path for path in FIXED if path not in REQUIRED])
def test_definition_refuses_addition_and_removal_of_fixed_fields(
    cluster: ControlPlane, searches: dict[str, Document], path: str
) -> None:
    assert_fixed(refused_change(cluster, searches["least"], path, FIXED[path]), path)
    assert_fixed(refused_change(cluster, searches["everything"], path, REMOVED), path)


@pytest.mark.parametrize(
    ("section", "inner"), [("search", "seed"), ("storage", "uri"), ("jobs", "image")]
)
def test_definition_refuses_removal_of_a_section_with_fixed_fields(
    cluster: ControlPlane, searches: dict[str, Document], section: str, inner: str
) -> None:
    lines = refused_change(cluster, searches["everything"], section, REMOVED)
    assert_fixed(lines, f"{section}.{inner}")


def test_definition_accepts_a_warm_start_of_the_same_settings(cluster: ControlPlane) -> None:
    again = changed("metadata.name", "r50-again", changed("spec.warmStart", {"from": "r50"}))
    assert create(cluster, again, **STRICT)


def patch_status(cluster: ControlPlane, search: Document, status: Document) -> Document:
    metadata = search["metadata"]
    place = (SEARCHES_PATH, metadata["namespace"], metadata["name"])
    return cluster.api.patch(*place, {"status": status}, "status")


@pytest.mark.parametrize("character", ["x", '"', "<", "中"])
def test_definition_accepts_the_largest_status(
    cluster: ControlPlane, searches: dict[str, Document], character: str
) -> None:
    status = largest_status(character).to_json()
    stored = patch_status(cluster, searches["told"], status)
    assert stored["status"] == status
    assert stored["spec"] == searches["told"]["spec"]


def test_definition_refuses_a_malformed_status(
    cluster: ControlPlane, searches: dict[str, Document]
) -> None:
    with pytest.raises(ApiError) as caught:
        patch_status(cluster, searches["told"], {"phase": "Dreaming", "best": {"h": 0.5}})
    lines = findings(caught.value)
    assert any(line.startswith("status.best.h") and "string" in line for line in lines), lines


STATUS = ResourceStatus.model_validate(
    {
        "phase": "Searching",
        "conditions": [
            {
                "type": "Degraded",
                "status": "True",
                "last_transition_time": "2026-11-22T20:30:15Z",
                "reason": "QuotaExceeded",
                "message": "no GPU is left",
            },
            {
                "type": "Accepted",
                "status": "True",
                "last_transition_time": "2026-11-22T20:30:15Z",
                "reason": "Valid",
            },
        ],
        "trials": {"total": 100, "finished": 37, "progress": "37/100"},
        "teachers": {"progress": "2/3"},
        "base": {"h": 0.25, "map": 0.398},
        "best": {"h": 0.33, "map": 0.401},
        "flops_change": "-41%",
        "latency_change": "-22%",
        "gpu_hours": "12.5",
    }
)


def kubectl(cluster: ControlPlane, *arguments: str) -> str:
    command: Command = [cluster.binaries["kubectl"], "--kubeconfig", cluster.kubeconfig, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_kubectl_get_shows_the_progress_of_a_search(cluster: ControlPlane, namespace: str) -> None:
    patch_status(cluster, cluster.api.create(MINIMAL, namespace), STATUS.to_json())

    heads, row = kubectl(cluster, "-n", namespace, "get", "detnas").splitlines()
    names = ["NAME", "PHASE", "TEACHERS", "TRIALS", "BEST H", "BASE H", "BEST MAP", "FLOPS", "AGE"]
    assert re.split(r"\s{2,}", heads.strip()) == names
    shown = ["r50", "Searching", "2/3", "37/100", "0.3300", "0.2500", "0.4010", "-41%"]
    assert row.split()[:-1] == shown

    wide = kubectl(cluster, "-n", namespace, "get", "detnas", "-o", "wide").splitlines()[1]
    assert re.split(r"\s{2,}", wide)[-4:] == ["-22%", "12.5", "Valid", "no GPU is left"]
    assert "detnassearch.detnas.dev/r50" in kubectl(cluster, "-n", namespace, "get", "all")


def test_chart_has_the_printed_definition(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["detnas", "crd"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    in_chart = (ROOT / "charts" / "detnas" / "files" / "crd.yaml").read_text()
    assert capsys.readouterr().out == in_chart, "run: detnas crd > charts/detnas/files/crd.yaml"
