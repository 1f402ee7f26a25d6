"""Fixtures: a control plane for each worker, a namespace for each test."""

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.cluster.api import NAMESPACES, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import search_definition
from tests.cluster.jobset import JobSetController, definition
from tools.kubernetes import CONTROL_PLANE, find


@pytest.fixture(scope="session")
def kubernetes_programs() -> dict[str, Path]:
    """The programs of a control plane, and its tools, by name."""
    found = {name: path for name in CONTROL_PLANE if (path := find(name))}
    missing = [name for name in CONTROL_PLANE if name not in found]
    if missing:
        why = "" if shutil.which("go") else ", for which Go must be installed"
        pytest.skip(f"no {', '.join(missing)}: run python3 dev.py kubernetes{why}")
    return found


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, kubernetes_programs: dict[str, Path]
) -> Iterator[ControlPlane]:
    """A control plane of this worker's own that knows searches; it dies with the worker."""
    running = start_cluster(tmp_path_factory.mktemp("cluster"), kubernetes_programs)
    yield running
    running.stop()


def start_cluster(
    folder: Path, programs: dict[str, Path], definitions: Iterable[Document] = ()
) -> ControlPlane:
    """A control plane that knows searches, and what further definitions say."""
    for attempt in range(3):  # another process may take a port between our look and its use
        plane = ControlPlane(folder / str(attempt), programs)
        try:
            plane.start([search_definition(programs["helm"]), *definitions])
            return plane
        except RuntimeError:
            plane.stop()
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


@pytest.fixture(scope="session")
def jobset_controller(
    tmp_path_factory: pytest.TempPathFactory, kubernetes_programs: dict[str, Path]
) -> Iterator[JobSetController]:
    """A JobSet controller, in a control plane of its own."""
    binary = find("jobset")
    if binary is None:
        pytest.skip("no jobset: run python3 dev.py kubernetes jobset")
    folder = tmp_path_factory.mktemp("cluster")
    plane = start_cluster(folder, kubernetes_programs, [definition(binary)])
    running = JobSetController(plane, binary)
    running.install()
    running.start()
    yield running
    running.stop()
    plane.stop()


@pytest.fixture
def namespaces(cluster: ControlPlane) -> Iterator[Callable[[], str]]:
    """Make namespaces; when the test ends they go with all that is in them."""
    made: list[str] = []

    def make() -> str:
        made.append(make_namespace(cluster))
        return made[-1]

    yield make
    for name in made:
        abandon_namespace(cluster, name)


@pytest.fixture
def namespace(namespaces: Callable[[], str]) -> str:
    """A new namespace; when the test ends it goes with all that is in it."""
    return namespaces()


def make_namespace(cluster: ControlPlane, prefix: str = "test") -> str:
    """Make a namespace and return its name; abandon it in the end."""
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def abandon_namespace(cluster: ControlPlane, name: str) -> None:
    """Delete a namespace, without waiting for its end."""
    cluster.abandoned.add(name)
    cluster.api.delete(NAMESPACES, "", name)
