"""What `helm install` brings to a cluster, all but the operator's own pod.

The operator runs as a process of the tests instead (`operator_process.py`), with the service
account, the rights and the configuration that the chart gives it.
"""

import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.api import Api, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Command
from tests.cluster.waiting import eventually
from tests.seaweed import S3Server

CHART = Path(__file__).parents[2] / "charts" / "detnas"
PROCESSLESS = (
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
)
OPERATOR_IMAGE, TRAINER_IMAGE = "registry.test/detnas-operator", "registry.test/detnas-trainer"
IMAGES = {
    "image": {"repository": OPERATOR_IMAGE},
    "trainer": {"image": {"repository": TRAINER_IMAGE, "tag": "1"}},
}


@dataclass(frozen=True, slots=True)
class Installation:
    """A release of the chart.

    Attributes:
        api: the operator's service account, with exactly the rights that the chart gives it.
        settings: the operator's configuration file.
        environment: the S3 credentials of the operator's pod.
    """

    namespace: str
    api: Api
    settings: dict[str, Any]
    environment: dict[str, str]


def render_chart(
    helm: Path,
    namespace: str,
    values: Mapping[str, Any],
    release: str = "detnas",
    chart: Path = CHART,
) -> list[Document]:
    """The objects that `helm install` would make.

    Raises:
        AssertionError: with what helm says against the values.
    """
    command: Command = [helm, "template", release, chart, "--namespace", namespace, "--values", "-"]
    text = yaml.safe_dump(dict(values))
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The definition of searches is long: libyaml reads it eight times as fast.
    loaded = yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)
    return [document for document in loaded if document]


def search_definition(helm: Path, chart: Path = CHART) -> Document:
    """The CustomResourceDefinition of searches, as the chart has it."""
    storage = {"allowed": ["s3://unused"], "credentials": {"workloadIdentity": True}}
    values = {**IMAGES, "storage": storage}
    rendered = render_chart(helm, "default", values, chart=chart)
    (found,) = [one for one in rendered if one["kind"] == "CustomResourceDefinition"]
    return found


def install(
    cluster: ControlPlane,
    server: S3Server,
    tenants: Sequence[str],
    values: Mapping[str, Any] | None = None,
    endpoint: str = "",
    *,
    chart: Path = CHART,
    upgraded: Installation | None = None,
) -> Installation:
    """Install the chart into a new namespace, for searches in the namespaces `tenants`.

    `values` replace the chart's, entire sections; `endpoint` is where operator and jobs
    reach the S3 server, if not directly; `upgraded` is the release that this one replaces.
    """
    namespace = upgraded.namespace if upgraded else f"detnas-{uuid.uuid4().hex[:8]}"
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    keys = {"accessKeyId": server.access_key, "secretAccessKey": server.secret_key}
    chosen: dict[str, Any] = {
        "crds": {"enabled": False},
        "storage": {
            "endpoint": endpoint or server.endpoint,
            "allowed": [f"s3://{server.bucket}/{namespace}"],
            "credentials": keys,
        },
        "namespaces": [{"name": tenant, "s3": keys} for tenant in tenants],
        **IMAGES,
        **(values or {}),
    }
    # Roles of the whole cluster are named after the release.
    helm = cluster.binaries["helm"]
    rendered = render_chart(helm, namespace, chosen, release=namespace, chart=chart)
    for document in rendered:
        hook = "helm.sh/hook" in document["metadata"].get("annotations", {})
        if document["kind"] in PROCESSLESS and not hook:
            cluster.api.apply(document, namespace)
    return _installation(cluster, namespace, rendered, server, chosen["storage"]["endpoint"])


def _installation(
    cluster: ControlPlane,
    namespace: str,
    rendered: Sequence[Document],
    server: S3Server,
    endpoint: str,
) -> Installation:
    (deployment,) = [one for one in rendered if one["kind"] == "Deployment"]
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    (text,) = [
        one["data"]["operator.yaml"]
        for one in rendered
        if one["kind"] == "ConfigMap" and "operator.yaml" in one["data"]
    ]
    environment = {**server.environment(), "AWS_ENDPOINT_URL": endpoint}
    api, settings = cluster.caller(namespace, account), yaml.safe_load(text)
    for watched in settings.get("namespaces") or [""]:
        eventually(partial(_may, api, "list", watched))
    for tenant in settings["tenants"]:
        if tenant["namespace"] != "*":
            eventually(partial(_may, api, "create", tenant["namespace"]))
    return Installation(namespace, api, settings, environment)


def _may(api: Api, verb: str, namespace: str) -> bool:
    """Whether a role is in force, which the API server learns of a moment after it is made."""
    attributes = {"group": "batch", "resource": "jobs", "verb": verb, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(api.request("POST", path, review)["status"]["allowed"])
