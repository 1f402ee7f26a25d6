"""The operator as it is installed: whether it runs, and its configuration."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from pydantic import ValidationError

from detnas.findings import Finding, faulty, good
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.doctor.asking import asked

SELECTOR = "app.kubernetes.io/part-of=detnas,app.kubernetes.io/component=operator"
_INSTALL = "helm install detnas charts/detnas: docs/operator.md"
_FILE = "operator.yaml"


@dataclass
class Installed:
    """The configuration of the operator that is responsible for a namespace.

    Attributes:
        namespace: of the search.
        settings: None if they cannot be read; of several operators those of the one that runs
            searches in the namespace.
    """

    namespace: str
    settings: OperatorSettings | None = None

    @property
    def tenant(self) -> Tenant | None:
        """The tenant of the namespace, if it is known."""
        return self.settings.tenant(self.namespace) if self.settings else None

    def learn(self, settings: OperatorSettings) -> None:
        """Take an operator's configuration, unless another one's has the namespace."""
        if self.tenant is None:
            self.settings = settings


def operator_findings(client: KubernetesClient, found: Installed) -> Iterator[Finding]:
    """Look for the operator, and read its configuration.

    Args:
        client: of the user.
        found: gets the configuration.
    """
    deployments = asked("operator", lambda: list(client.list("deployments", None, SELECTOR)))
    if isinstance(deployments, Finding):
        yield deployments
        return
    if not deployments:
        yield faulty("operator", "no Deployment of it is in the cluster", f"install it: {_INSTALL}")
        return
    for deployment in deployments:
        yield _running(deployment)
        yield _configuration(client, deployment, found)


def _running(deployment: Object) -> Finding:
    metadata = deployment["metadata"]
    place = f"{metadata['namespace']}/{metadata['name']}"
    version = metadata.get("labels", {}).get("app.kubernetes.io/version", "of unknown version")
    if deployment.get("status", {}).get("availableReplicas", 0):
        return good(f"operator {place}", f"{version} runs")
    return faulty(
        f"operator {place}",
        f"{version} does not run",
        f"see why: kubectl --namespace {metadata['namespace']} describe pods --selector {SELECTOR}",
    )


def _configuration(client: KubernetesClient, deployment: Object, found: Installed) -> Finding:
    namespace = deployment["metadata"]["namespace"]
    what = f"configuration of {namespace}/{deployment['metadata']['name']}"
    volumes = deployment["spec"]["template"]["spec"].get("volumes", [])
    names = [one["configMap"]["name"] for one in volumes if "configMap" in one]

    def read() -> str:
        maps = (client.get("configmaps", namespace, name) for name in names)
        return next((one["data"][_FILE] for one in maps if one and _FILE in one["data"]), "")

    text = asked(what, read)
    if isinstance(text, Finding):
        return text
    try:
        settings = OperatorSettings.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        problem = str(error).splitlines()[0]
        return faulty(what, f"not that of this version: {problem}", "use detnas of its version")
    found.learn(settings)
    return good(what, f"stores may be in {', '.join(settings.storage.allowed)}")
