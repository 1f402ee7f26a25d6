"""Every object satisfies the schemas of a real API server, and no field is unknown to it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart.offline_schemas import write_schemas
from tests.chart.rendering import SHIPPED, Chart, Document, Objects, shipped
from tests.cluster.control_plane import ControlPlane


class Conformance:
    """kubeconform with what one API server knows."""

    def __init__(self, cluster: ControlPlane, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder

    def problems(self, objects: Objects) -> list[str]:
        """What is wrong with these objects, by kind and name."""
        location = write_schemas(self.cluster.api, objects, self.folder)
        program = self.cluster.binaries["kubeconform"]
        options = ["-strict", "-verbose", "-output", "json", "-schema-location", location]
        done = subprocess.run(
            [program, *options],
            input="\n---\n".join(map(json.dumps, objects)),
            capture_output=True,
            text=True,
            check=False,
        )
        resources = json.loads(done.stdout)["resources"]
        assert len(resources) == len(objects.documents)
        wrong = [each for each in resources if each["status"] != "statusValid"]
        return [f"{each['kind']} {each['name']}: {each['msg']}" for each in wrong]


@pytest.fixture(scope="module")
def conformance(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Conformance:
    return Conformance(cluster, tmp_path_factory.mktemp("schemas"))


@pytest.mark.parametrize("name", SHIPPED)
def test_rendered_objects_are_valid_for_the_api_server(
    chart: Chart, conformance: Conformance, name: str
) -> None:
    assert conformance.problems(chart.render(shipped(name), definition=True)) == []


def spoilt(objects: Objects, kind: str, path: str, value: object) -> Objects:
    """The objects, with one field of one of them set to a value."""
    document: Document = json.loads(json.dumps(objects.one(kind)))
    *parents, last = path.split(".")
    place: Any = document
    for parent in parents:
        place = place[int(parent) if parent.isdecimal() else parent]
    place[last] = value
    return Objects((document,))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.replica", 1),
        ("Deployment", "spec.replicas", "1"),
        ("Deployment", "spec.template.spec.containers.0.imagePullpolicy", "Always"),
        ("ConfigMap", "data", ["x"]),
        ("NetworkPolicy", "spec.egresses", []),
        ("PodDisruptionBudget", "spec.selector.matchLabel", {}),
        ("CustomResourceDefinition", "spec.versions.0.schema.openAPIV3Schema.nulable", True),
    ],
)
def test_kubeconform_finds_misspelt_fields(
    chart: Chart, conformance: Conformance, kind: str, path: str, value: object
) -> None:
    values = {**shipped("cluster-wide"), "networkPolicy": {"enabled": True}, "metrics": {}}
    rendered = chart.render(values, definition=kind == "CustomResourceDefinition")
    (problem,) = conformance.problems(spoilt(rendered, kind, path, value))
    assert path.rpartition(".")[2] in problem
