"""What `helm template` makes of values: the objects a cluster would get, or why it refuses."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.kubernetes.binaries import KUBERNETES

FOLDER = Path(__file__).parents[2] / "charts" / "detnas"
RELEASE, NAMESPACE = "detnas", "detnas-system"

Values = Mapping[str, Any]
Document = dict[str, Any]

OPERATOR_IMAGE, TRAINER_IMAGE = "registry.test/detnas-operator", "registry.test/detnas-trainer"

IMAGES: Values = {
    "image": {"repository": OPERATOR_IMAGE},
    "trainer": {"image": {"repository": TRAINER_IMAGE}},
}
SMALLEST: Values = {
    **IMAGES,
    "storage": {
        "allowed": ["s3://experiments/detnas"],
        "credentials": {"existingSecret": "detnas-operator-s3"},
    },
}
"""The values without which there is no release."""

ONE_TENANT: Values = {
    **SMALLEST,
    "namespaces": [{"name": "team-a", "s3": {"existingSecret": "detnas-s3"}}],
}


def shipped(name: str) -> Values:
    """Values that the chart ships to be checked with."""
    loaded: Values = yaml.safe_load((FOLDER / "ci" / f"{name}-values.yaml").read_text())
    return loaded


SHIPPED = ("namespaced", "cluster-wide")


@dataclass(frozen=True, slots=True)
class Objects:
    """Rendered objects, found by kind and name."""

    documents: tuple[Document, ...]

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def kind(self, kind: str) -> list[Document]:
        """All objects of a kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str, name: str = "", namespace: str = "") -> Document:
        """The only object of a kind, with this name and in this namespace if they are given."""
        (found,) = [
            document
            for document in self.kind(kind)
            if name in {"", document["metadata"]["name"]}
            and namespace in {"", document["metadata"].get("namespace")}
        ]
        return found

    @property
    def configuration(self) -> Document:
        """The ConfigMap with the operator's configuration."""
        (found,) = [one for one in self.kind("ConfigMap") if "operator.yaml" in one["data"]]
        return found

    @property
    def settings(self) -> Document:
        """The operator's configuration, as the YAML in the ConfigMap."""
        text = self.configuration["data"]["operator.yaml"]
        loaded: Document = yaml.safe_load(text)
        return loaded

    @property
    def template(self) -> Document:
        """The pod template of the operator."""
        found: Document = self.one("Deployment")["spec"]["template"]
        return found

    @property
    def container(self) -> Document:
        """The operator's container."""
        (found,) = self.template["spec"]["containers"]
        return dict(found)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ours if no other is named, and the helm that renders it."""

    helm: Path
    folder: Path = FOLDER

    def render(
        self,
        values: Values,
        *options: str,
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        definition: bool = False,
    ) -> Objects:
        """Render the chart.

        Args:
            values: in place of the defaults.
            options: of `helm template`.
            release: its name.
            namespace: of the release.
            definition: render the definition of searches too, which takes most of the time.

        Raises:
            AssertionError: helm refused.
        """
        if not definition:
            options = (*options, "--set", "crds.enabled=false")
        done = self._template(values, release, namespace, *options)
        assert done.returncode == 0, done.stderr
        # The definition of searches is long: libyaml reads it eight times as fast.
        loaded = yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)
        return Objects(tuple(document for document in loaded if document))

    def refusal(self, values: Values) -> str:
        """Why helm refuses these values.

        Raises:
            AssertionError: it does not.
        """
        done = self._template(values, RELEASE, NAMESPACE)
        assert done.returncode != 0, "rendered"
        return done.stderr

    def lint(self, values: Values) -> subprocess.CompletedProcess[str]:
        """Run `helm lint --strict` with these values."""
        return self._run("lint", "--strict", str(self.folder), values=values)

    def _template(
        self, values: Values, release: str, namespace: str, *options: str
    ) -> subprocess.CompletedProcess[str]:
        command = ("template", release, str(self.folder), "--namespace", namespace, *options)
        return self._run(*command, values=values)

    def _run(self, *command: str, values: Values) -> subprocess.CompletedProcess[str]:
        # A helm without a cluster and without its release's settings believes in Kubernetes 1.20.
        version = ("--kube-version", KUBERNETES, "--values", "-")
        return subprocess.run(
            [self.helm, *command, *version],
            check=False,
            input=yaml.safe_dump(dict(values)),
            capture_output=True,
            text=True,
            timeout=60,
        )
