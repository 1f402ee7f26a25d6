"""Releases of the chart in a cluster: helm as an administrator runs it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.chart.rendering import FOLDER, Values
from tests.cluster.api import SEARCHES, ApiError, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually

DEFINITIONS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION = "detnassearches.detnas.dev"


class AdministratorsPlane(ControlPlane):
    """A control plane that also aggregates roles and counts disruptions."""

    def _controller_manager(self) -> dict[str, object]:
        options = super()._controller_manager()
        more = ("clusterrole-aggregation-controller", "disruption-controller")
        return {**options, "controllers": ",".join([str(options["controllers"]), *more])}


@dataclass(frozen=True, slots=True)
class Administrator:
    """Somebody with helm and every right."""

    plane: ControlPlane
    namespace: str

    def helm(self, *arguments: str | Path, values: Values | None = None) -> str:
        """Run helm; what it printed.

        Raises:
            AssertionError: it failed.
        """
        done = self.run_helm(*arguments, values=values)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run_helm(
        self, *arguments: str | Path, values: Values | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run helm, however it ends."""
        # It keeps there what kinds the API server knows, and need not ask every time.
        home = self.plane.folder / "administrator"
        home.mkdir(exist_ok=True)
        return subprocess.run(
            [
                *(self.plane.binaries["helm"], "--kubeconfig", self.plane.kubeconfig),
                *("--namespace", self.namespace),
                *arguments,
                *([] if values is None else ["--values", "-"]),
            ],
            input=None if values is None else yaml.safe_dump(dict(values)),
            env={"HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, release: str, values: Values, chart: Path = FOLDER) -> str:
        """Install a release and wait until searches are served; what the administrator reads."""
        said = self.helm("install", release, chart, values=values)
        eventually(self._searches_are_served)
        return said

    def _searches_are_served(self) -> bool:
        try:
            self.plane.api.list(SEARCHES)
        except ApiError:  # unknown, or the server is about to learn of them
            return False
        return True

    def definition(self) -> Document | None:
        """The definition of searches in the cluster."""
        return self.plane.api.find(DEFINITIONS, "", DEFINITION)

    def delete_searches(self) -> None:
        """Delete every search, if any can exist."""
        if self.definition():
            for search in self.plane.api.list(SEARCHES):
                metadata = search["metadata"]
                self.plane.api.delete(SEARCHES, metadata["namespace"], metadata["name"])
