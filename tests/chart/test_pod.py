"""The operator's pod: one, unprivileged, probed, from the image that was asked for."""

from typing import Any

import pytest

import detnas
from tests.chart.rendering import ONE_TENANT, SMALLEST, Chart, Objects, shipped

DIGEST = "sha256:" + "0123456789abcdef" * 4


def pods(objects: Objects) -> list[dict[str, Any]]:
    """The operator's and that of `helm test`."""
    return [objects.template["spec"], objects.one("Pod")["spec"]]


def test_deployment_never_runs_two_operators(rendered: Objects) -> None:
    spec = rendered.one("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    # A budget for one replica would do nothing, or block every drain.
    assert rendered.kind("PodDisruptionBudget") == []


def test_operator_pods_satisfy_the_restricted_level(rendered: Objects) -> None:
    for pod in pods(rendered):
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert {volume["name"] for volume in pod["volumes"] if "hostPath" in volume} == set()


def test_operator_container_writes_to_volumes_only(rendered: Objects) -> None:
    (temporary,) = [each for each in rendered.template["spec"]["volumes"] if "emptyDir" in each]
    mounts = {each["name"]: each["mountPath"] for each in rendered.container["volumeMounts"]}
    assert mounts[temporary["name"]] == "/tmp"
    assert {"name": "HOME", "value": "/tmp"} in rendered.container["env"]


def test_operator_container_starts_with_the_configuration(rendered: Objects) -> None:
    container = rendered.container
    assert container["command"] == ["detnas-operator"]
    assert container["args"] == ["--config", "/etc/detnas/operator.yaml"]
    (volume,) = [each for each in rendered.template["spec"]["volumes"] if "configMap" in each]
    assert volume["configMap"]["name"] == rendered.configuration["metadata"]["name"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert mounts[volume["name"]]["mountPath"] == "/etc/detnas"


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_operator_probes_use_the_health_port(chart: Chart, probe: str) -> None:
    container = chart.render({**SMALLEST, "health": {"port": 8123}}).container
    asked = container[probe]["httpGet"]
    assert asked["path"] == "/healthz"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports[asked["port"]] == 8123


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, f"x/y:{detnas.__version__}"),
        ({"tag": "1.2"}, "x/y:1.2"),
        ({"digest": DIGEST}, f"x/y@{DIGEST}"),
        ({"tag": "1.2", "digest": DIGEST}, f"x/y@{DIGEST}"),
        ({"repository": "example.org:5000/x/y", "tag": "1"}, "example.org:5000/x/y:1"),
    ],
    ids=["version", "tag", "digest", "digest before tag", "registry"],
)
def test_image_digest_takes_precedence_over_tag(
    chart: Chart, image: dict[str, str], reference: str
) -> None:
    image = {"repository": "x/y", **image}
    values = {**SMALLEST, "image": image, "trainer": {"image": {**image}}}
    objects = chart.render(values)
    assert {pod["containers"][0]["image"] for pod in pods(objects)} == {reference}
    assert objects.settings["trainer"]["image"] == reference


@pytest.mark.parametrize("field", ["image", "trainer.image"])
def test_images_must_be_named(chart: Chart, field: str) -> None:
    images: dict[str, Any] = {**SMALLEST}
    del images[field.partition(".")[0]]
    message = chart.refusal(images)
    assert f"{field}.repository: name the repository that you pushed the " in message
    assert ".Dockerfile builds it" in message


def test_operator_pod_is_scheduled_as_the_values_say(chart: Chart) -> None:
    values = shipped("cluster-wide")
    for pod in pods(chart.render(values)):
        for name in ("affinity", "tolerations", "nodeSelector", "priorityClassName"):
            assert pod[name] == values[name]
        assert pod["imagePullSecrets"] == values["imagePullSecrets"]
        assert set_in(pod)["AWS_MAX_ATTEMPTS"] == "5"


def set_in(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"]}


def test_operator_resources_are_the_values(chart: Chart, rendered: Objects) -> None:
    assert rendered.container["resources"]["limits"].keys() == {"memory"}
    resources = {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    objects = chart.render({**SMALLEST, "resources": resources})
    assert objects.container["resources"]["limits"] == resources["limits"]


def test_operator_user_can_be_left_to_the_cluster(chart: Chart) -> None:
    users = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
    objects = chart.render({**SMALLEST, "podSecurityContext": users})
    assert objects.template["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_pod_labels_and_annotations_are_added(chart: Chart) -> None:
    values = {
        **ONE_TENANT,
        "podLabels": {"azure.workload.identity/use": "true"},
        "podAnnotations": {"example.com/owner": "vision"},
        "commonLabels": {"team": "vision"},
    }
    objects = chart.render(values)
    metadata = objects.template["metadata"]
    assert metadata["labels"]["azure.workload.identity/use"] == "true"
    assert metadata["annotations"]["example.com/owner"] == "vision"
    for document in objects:
        assert document["metadata"]["labels"]["team"] == "vision"


def test_objects_carry_the_standard_labels(rendered: Objects) -> None:
    for document in rendered:
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "detnas"
        assert labels["app.kubernetes.io/instance"] == "detnas"
        assert labels["app.kubernetes.io/version"] == detnas.__version__
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"] == f"detnas-{detnas.__version__}"


@pytest.mark.parametrize(
    ("values", "release", "name"),
    [
        ({}, "detnas", "detnas"),
        ({}, "vision", "vision-detnas"),
        ({"nameOverride": "nas"}, "vision", "vision-nas"),
        ({"fullnameOverride": "searches"}, "vision", "searches"),
        ({}, "v" * 53, "v" * 50),
    ],
    ids=["release", "other release", "other name", "whole name", "long"],
)
def test_names_follow_the_release(
    chart: Chart, values: dict[str, Any], release: str, name: str
) -> None:
    objects = chart.render({**ONE_TENANT, **values}, release=release)
    assert objects.one("Deployment")["metadata"]["name"] == name
    assert all(len(document["metadata"]["name"]) <= 63 for document in objects.kind("Service"))


def test_helm_test_checks_with_the_operators_own_account_and_keys(rendered: Objects) -> None:
    pod = rendered.one("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    operator, check = pods(rendered)
    assert check["serviceAccountName"] == operator["serviceAccountName"]
    assert check["automountServiceAccountToken"] is True
    assert check["restartPolicy"] == "Never"
    (container,) = check["containers"]
    assert container["args"] == ["check", "--config", "/etc/detnas/operator.yaml"]
    for name in ("image", "command", "env", "envFrom", "volumeMounts"):
        assert container[name] == rendered.container[name]


def test_helm_test_pod_is_selected_by_no_service(rendered: Objects) -> None:
    labels = rendered.one("Pod")["metadata"]["labels"].items()
    for selector in (
        rendered.one("Deployment")["spec"]["selector"]["matchLabels"],
        rendered.one("Service")["spec"]["selector"],
    ):
        assert not selector.items() <= labels
        assert selector.items() <= rendered.template["metadata"]["labels"].items()
