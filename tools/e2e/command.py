"""`dev.py e2e`: builds the images, runs a search with them on a real node, loads its student."""

from __future__ import annotations

import json
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.e2e.following import Status, follow
from tools.e2e.objects import OPERATOR_NAMESPACE, TENANT, chart_values, cluster_objects
from tools.environment import Environment
from tools.example import DATA
from tools.kubernetes import obtain
from tools.node.containerd import import_images
from tools.node.control_plane import ControlPlane
from tools.node.daemons import Layout, inside
from tools.node.images import ImageBuilder, exists, image_name, megabytes, save
from tools.node.missing import GIGABYTES_TO_BUILD, GIGABYTES_TO_RUN, check
from tools.node.network import run
from tools.node.node import BINARIES, start_node, stop_node
from tools.node.s3_server import S3Server
from tools.process import Command, StepFailed, clock, run_shown, say

MANIFEST = Path("examples/digits/search-cluster.yaml")
SEARCH = "digits"
LOAD_AND_SCORE = Path("tests/e2e/score_exported.py")
SEARCH_SECONDS = 45 * 60
OPERATOR_MEGABYTES = 250


@dataclass(frozen=True, slots=True)
class Options:
    """How to run it."""

    base: str | None
    keep: bool


def require_machine(environment: Environment, *, base_is_given: bool) -> None:
    """Refuse a machine that cannot run it, before anything is downloaded or built.

    Raises:
        StepFailed: with everything that is missing, and how to get it.
    """
    layout = Layout()
    check(layout, base_from_packages=not base_is_given, gigabytes=0)
    stop_node(layout)  # else the disk that an earlier run has left full would count as used
    is_built = exists(image_name("trainer", _version(environment)))
    needed = GIGABYTES_TO_RUN if is_built else GIGABYTES_TO_BUILD
    check(layout, base_from_packages=not base_is_given, gigabytes=needed)


def run_e2e(environment: Environment, options: Options) -> None:
    """Run it from images to the loaded student, and remove the node afterwards.

    Raises:
        StepFailed: with what the failed step said.
    """
    layout = Layout()
    started = time.monotonic()
    binaries = obtain(BINARIES)
    make: Command = [environment.python, "examples/digits/make_data.py", DATA]
    run_shown("data set: handwritten digits", make, environment.variables)
    images = build_images(environment, options, layout.folder.with_name("images"))
    with node(layout, binaries, images["pause"], keep=options.keep) as plane:
        server = S3Server(layout, environment.program("weed"), environment.python)
        server.start()
        say(f"✓ an S3 server at {server.endpoint} inside the namespace")
        load(layout, [images["operator"], images["trainer"]])
        install(plane, server, images["operator"].rpartition(":")[2])
        status = search(plane)
        fetch_and_load(environment, server, status)
    say(f"✓ end to end in {clock(time.monotonic() - started)}")


def build_images(environment: Environment, options: Options, logs: Path) -> Mapping[str, str]:
    """Build every image; what each is called.

    Raises:
        StepFailed: a build failed, or the operator's image is larger than promised.
    """
    version = _version(environment)
    builder = ImageBuilder(environment.root, logs)
    base = options.base or builder.base()
    operator = builder.build("operator", base, version)
    size = megabytes(operator)
    say(f"  {operator}: {size:.0f} MB compressed")
    if size > OPERATOR_MEGABYTES:
        raise StepFailed(f"✗ it may have {OPERATOR_MEGABYTES} MB; see what has come into it")
    trainer = builder.build("trainer", base, version)
    say(f"  {trainer}: {megabytes(trainer):.0f} MB compressed")
    return {"pause": builder.pause(base), "operator": operator, "trainer": trainer}


@contextmanager
def node(
    layout: Layout, binaries: Mapping[str, Path], pause: str, *, keep: bool
) -> Iterator[ControlPlane]:
    """A running node; says what is wrong in it when the body fails."""
    try:
        plane = start_node(layout, binaries, save([pause]))
        try:
            yield plane
        except StepFailed:
            _say_what_is_wrong(plane)
            raise
    finally:
        if keep:
            say(f"  the node is left; look: {' '.join(ControlPlane(layout, binaries).kubectl())} …")
            say("  remove it: python3 -m tools.node down")
        else:
            stop_node(layout)


def load(layout: Layout, images: list[str]) -> None:
    """Give the node's containerd the images."""
    started = time.monotonic()
    import_images(layout, save(images))
    say(f"✓ the images are on the node ({clock(time.monotonic() - started)})")


def install(plane: ControlPlane, server: S3Server, version: str) -> None:
    """Make what an administrator makes, install the chart, and let it check itself.

    Raises:
        StepFailed: with what kubectl or helm said.
    """
    objects = json.dumps(cluster_objects(DATA.resolve()))
    run(plane.kubectl("apply", "--filename", "-"), objects)
    options = ("--namespace", OPERATOR_NAMESPACE, "--timeout=3m", "--hide-notes")
    values = json.dumps(chart_values(server, version))
    chart = ("install", "detnas", "charts/detnas", "--values", "-", "--wait")
    say(run(helm(plane, *chart, *options), values))
    say(run(helm(plane, "test", "detnas", "--logs", *options)))


def search(plane: ControlPlane) -> Status:
    """Apply the manifest, follow the search to its end, and show what a user sees.

    Raises:
        StepFailed: the search has failed or takes too long.
    """
    resource = ("detnas", "--namespace", TENANT)
    say(run(plane.kubectl("apply", "--namespace", TENANT, "--filename", MANIFEST)).strip())
    status = follow(
        lambda: run(plane.kubectl("get", *resource, SEARCH, "--output=json")), SEARCH_SECONDS
    )
    say(run(plane.kubectl("get", *resource)))
    say(run(plane.kubectl("get", "jobs", "--namespace", TENANT)))
    return status


def fetch_and_load(environment: Environment, server: S3Server, status: Status) -> None:
    """Fetch the exported student from S3, and score it with stock mmdet.

    Raises:
        StepFailed: it is not there, cannot be loaded, or scores something else than recorded.
    """
    exported = status["exported"]
    with tempfile.TemporaryDirectory() as folder:
        fetch: Command = [
            environment.python, "tools/e2e/student.py", exported["uri"], folder
        ]  # fmt: skip
        variables = {**environment.variables, **server.variables}
        run(inside(server.layout, fetch), env=variables)
        files = {file.name: file.stat().st_size for file in Path(folder).iterdir()}
        say("  exported: " + ", ".join(f"{name} {size}" for name, size in sorted(files.items())))
        # -S leaves out the .pth file by which this project's own packages would be found.
        packages = sysconfig.get_path("purelib", "venv", {"base": str(environment.folder)})
        score: Command = [
            environment.python, "-S", LOAD_AND_SCORE, folder, DATA / "val.json", DATA / "images"
        ]  # fmt: skip
        lines = run(score, env={**environment.variables, "PYTHONPATH": packages}).splitlines()
    found, recorded = json.loads(lines[-1])["map"], float(exported["map"])
    if abs(found - recorded) > 0.001:
        raise StepFailed(f"✗ stock mmdet finds mAP {found:.4f}, the search {recorded:.4f}")
    say(f"✓ stock mmdet loads the student: mAP {found:.4f}, as recorded ({recorded:.4f})")


def helm(plane: ControlPlane, *arguments: str) -> list[str]:
    """The command that runs helm as the administrator."""
    kubeconfig = f"--kubeconfig={plane.layout.kubeconfig()}"
    return inside(plane.layout, [plane.binaries["helm"], kubeconfig, *arguments])


def _version(environment: Environment) -> str:
    return str(environment.pyproject["project"]["version"])


def _say_what_is_wrong(plane: ControlPlane) -> None:
    operator = ("--namespace", OPERATOR_NAMESPACE, "deployment/detnas", "--tail=40")
    for title, words in (
        ("pods", ("get", "pods", "--all-namespaces", "--output=wide")),
        ("search", ("describe", "detnas", "--namespace", TENANT)),
        ("events", ("events", "--all-namespaces", "--types=Warning")),
        ("the operator's log", ("logs", *operator)),
        ("the last job's log", ("logs", "--namespace", TENANT, "--selector=detnas.dev/search")),
    ):
        try:
            said = run(plane.kubectl(*words))
        except StepFailed as failure:
            said = str(failure)
        say(f"── {title}\n{said}")
