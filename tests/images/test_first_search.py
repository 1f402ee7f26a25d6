"""What the end-to-end run gives a cluster fits the chart, the operator and the manifest."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from detnas.spec.loading import load_manifest
from detnas.spec.manifest import SearchSpec
from detnas_operator.configuration.settings import load_settings
from tests.chart.rendering import Chart
from tools.e2e.command import MANIFEST
from tools.e2e.objects import TENANT, chart_values, cluster_objects
from tools.kubernetes.binaries import find
from tools.node.daemons import Layout
from tools.node.s3_server import S3Server

ROOT = Path(__file__).parents[2]
SERVER = S3Server(Layout(), Path("weed"), Path("python"))


@pytest.fixture
def spec() -> SearchSpec:
    """The search of the end-to-end run."""
    return load_manifest(ROOT / MANIFEST).spec


def test_first_search_values_are_accepted_by_chart_and_operator(tmp_path: Path) -> None:
    helm = find("helm") or shutil.which("helm")
    if not helm:
        pytest.skip("no helm: run python3 dev.py kubernetes, or install it")
    rendered = Chart(Path(helm)).render(chart_values(SERVER, "1.2.3"))
    file = tmp_path / "operator.yaml"
    file.write_text(rendered.configuration["data"]["operator.yaml"])
    settings = load_settings(file)
    assert settings.storage.endpoint == SERVER.endpoint
    assert settings.trainer.image == "localhost/detnas-trainer:1.2.3"
    assert settings.tenant(TENANT) is not None


def test_first_search_is_the_shortened_example(spec: SearchSpec) -> None:
    whole = load_manifest(ROOT / "examples/digits/search.yaml").spec
    assert spec.search.trials == 4
    assert spec.detector == whole.detector
    assert spec.resolutions == whole.resolutions
    assert spec.base.resolve() == whole.base.resolve()
    assert spec.teachers.supernet == whole.teachers.supernet


def test_first_search_needs_no_gpu(spec: SearchSpec) -> None:
    assert spec.finetune is not None
    wanted = (spec.base.gpus, spec.teachers.gpus_per_worker, spec.evaluation.gpus)
    assert {*wanted, spec.finetune.gpus} == {0}


def test_first_search_reads_the_created_claim(spec: SearchSpec, tmp_path: Path) -> None:
    items: Any = cluster_objects(tmp_path)["items"]
    (claim,) = [one for one in items if one["kind"] == "PersistentVolumeClaim"]
    (volume,) = [one for one in items if one["kind"] == "PersistentVolume"]
    asked = spec.dataset.source.persistent_volume_claim
    assert asked is not None
    assert asked.claim_name == claim["metadata"]["name"]
    assert claim["metadata"]["namespace"] == TENANT == volume["spec"]["claimRef"]["namespace"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["hostPath"]["path"] == str(tmp_path)
