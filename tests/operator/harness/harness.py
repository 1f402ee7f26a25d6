"""An installed operator, played pods, a store, and the searches that a test gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detnas.store import Store
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Journal
from tests.cluster.installation import Installation
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import Behaviour, PodPlayer, Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts
from tests.cluster.searches import manifest
from tests.operator.harness.search import Search

ONE_PHASE: Mapping[str, Any] = {"phases": [{"epochs": 1, "learningRate": "0.1"}]}


@dataclass
class Harness:
    """One operator process and all that surrounds it.

    Attributes:
        operator: the fixture that makes the harness says whether it runs already.
        player: plays the pods, by default as `scripts` says.
        scripts: which pod follows which script; by default a pod does its work at once.
        namespaces: no search has used them so far.
    """

    cluster: ControlPlane
    installation: Installation
    operator: OperatorProcess
    player: PodPlayer
    scripts: Scripts
    trainer: PretendedTrainer
    namespaces: list[str]

    def namespace(self) -> str:
        """A namespace without other searches."""
        return self.namespaces.pop()

    def search(
        self, name: str, spec: Mapping[str, Any] | None = None, namespace: str = "", **search: Any
    ) -> Search:
        """A search that does not exist yet: one pool phase, two trials, no retries.

        Its name must be unique within a module: scripts find its pods by it.

        Args:
            spec: replaces sections of the spec.
            namespace: where it is created, if not in one of its own.
            search: fields of the section `search`.
        """
        settings = {"trials": 2, "parallelism": 2, **search}
        sections = {"teachers": ONE_PHASE, "limits": {"retries": 0}, **(spec or {})}
        body = manifest(name, sections, **settings)
        body["metadata"]["namespace"] = namespace or self.namespace()
        return Search(self, body)

    def begin(self, name: str, *args: Any, **options: Any) -> Search:
        """Create the search that `search` returns."""
        return self.search(name, *args, **options).apply()

    def on(self, job: str, *attempts: Script) -> None:
        """Let the pods of Jobs of this name or pattern follow scripts in turn."""
        self.scripts.on(job, *attempts)

    def play(self, behaviour: Behaviour) -> PodPlayer:
        """Let every pod that begins from now on behave like this."""
        self.player.behaviour = behaviour
        return self.player

    @property
    def root(self) -> str:
        """URI of the store that searches are kept in."""
        (root,) = self.installation.settings["storage"]["allowed"]
        return str(root)

    @property
    def store(self) -> Store:
        """That store, reached directly."""
        return self.trainer.store(self.root)

    def has_passed(self) -> bool:
        """Whether the operator that runs has made a pass, or knows of no search."""
        passes = self.operator.figure('detnas_reconcile_seconds_count{outcome="ok"}')
        return passes > 0 or self.operator.figure("detnas_queue_keys") == 0


@dataclass
class ProxiedHarness(Harness):
    """The same, whose operator reaches the API server and S3 through proxies with one journal."""

    api: FaultProxy
    s3: FaultProxy

    @property
    def journal(self) -> Journal:
        """The operator's calls so far, and the fault rule for the next ones."""
        return self.api.journal
