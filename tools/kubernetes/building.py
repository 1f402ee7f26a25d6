"""Builds the programs that are missing, one after another, into the cache folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tools.environment import exclusive
from tools.kubernetes.binaries import (
    ALL,
    CONTROL_PLANE,
    EXTENSIONS,
    KUBERNETES,
    MODULES,
    cache_folder,
    find,
)
from tools.process import Command, StepFailed, output_of, run_logged, say


class GoMissing(StepFailed):
    """There is no Go to build with."""


def obtain(names: Iterable[str]) -> dict[str, Path]:
    """The programs `names`, built where they are missing.

    Raises:
        GoMissing: something must be built and there is no Go.
        StepFailed: a build failed; with the end of its output.
    """
    asked = list(names)
    if unknown := [name for name in asked if name not in ALL]:
        raise StepFailed(f"✗ no program {unknown[0]!r}; there are {', '.join(ALL)}")
    if not all(find(name) for name in asked):
        folder = cache_folder()
        with exclusive(folder / ".lock"):
            _build_missing([name for name in ALL if name in asked and not find(name)], folder)
    return {name: path for name in asked if (path := find(name))}


def obtain_for_tests() -> None:
    """Obtain what the tests of the operator need; without Go say so, and they will be skipped.

    So will be those with a real Kueue or JobSet controller where that cannot be built.

    Raises:
        StepFailed: the build of Kubernetes failed; with the end of its output.
    """
    try:
        obtain(CONTROL_PLANE)
    except GoMissing as missing:
        say(f"{missing}\n  Until then the tests that need Kubernetes are skipped")
        return
    for name in EXTENSIONS:
        try:
            obtain([name])
        except StepFailed as failed:
            say(f"{failed}\n  Until then the tests that need {name} are skipped")


def _build_missing(names: list[str], folder: Path) -> None:
    if not names:
        return
    go = shutil.which("go")
    if go is None:
        raise GoMissing(
            f"✗ {', '.join(names)} of Kubernetes {KUBERNETES} are built from source and there is "
            "no Go on PATH.\n  Install Go 1.25 or later, or name a folder that holds them: "
            "KUBEBUILDER_ASSETS=DIR"
        )
    seconds = sum(ALL[name].core_seconds for name in names) / (os.cpu_count() or 1)
    say(
        f"  building {', '.join(names)} from source: about {max(1, round(seconds / 60))} min from "
        f"empty caches,\n  once on this machine: they stay in {folder}"
    )
    for name in names:
        _build(name, go, folder)


def _build(name: str, go: str, folder: Path) -> None:
    binary = ALL[name]
    part = folder / f".{name}.part{os.getpid()}"
    linked = " ".join(["-s", "-w", *(f"-X {key}={it}" for key, it in binary.variables.items())])
    command: Command = [
        go, "build", "-C", MODULES / binary.module, "-v", "-mod=readonly", "-buildvcs=false",
        "-ldflags", linked, "-o", part, binary.package,
    ]  # fmt: skip
    log = folder / f"{name}.log"
    try:
        variables = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        run_logged(f"building {name}", command, log, variables, lambda: _compiled(log))
        if binary.installation:
            _keep_installation(name, go, folder)
        part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)


def _keep_installation(name: str, go: str, folder: Path) -> None:
    """Keep the objects that install a program, as its own version of them has it."""
    binary = ALL[name]
    kubectl = find("kubectl")
    if kubectl is None:
        raise StepFailed(f"✗ {name} needs kubectl: python3 dev.py kubernetes kubectl {name}")
    listed: Command = [
        go, "list", "-C", MODULES / binary.module, "-f", "{{.Module.Dir}}", binary.package,
    ]  # fmt: skip
    module = Path(output_of(listed).strip())
    part = folder / f".{name}.yaml.part{os.getpid()}"
    part.write_text(output_of([kubectl, "kustomize", module / binary.installation]))
    part.replace(folder / f"{name}.yaml")


def _compiled(log: Path) -> str:
    """How far the build is: Go names each package that it compiles."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    count = sum(not line.startswith("go: ") for line in lines)
    return f"{count} packages compiled" if count else ""
