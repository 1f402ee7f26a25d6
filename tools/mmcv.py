"""The wheel of mmcv, which the registry lacks: found, or built from source once and kept."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.environment import Environment, Installer, exclusive
from tools.process import StepFailed, run_logged, say

BUILD_TOOLS = ("setuptools<81", "wheel", "ninja", "psutil")
CORE_MINUTES = 28  # measured: 14 minutes on 2 cores
GIGABYTES_PER_JOB = 2
COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True)
class WheelSource:
    """Where a wheel may come from: folders that were given, and the cache of built ones."""

    environment: Environment
    given: Sequence[str]
    cache: Path

    @classmethod
    def of(cls, environment: Environment, wheels: Path | None) -> WheelSource:
        """From the folder `wheels`, and from UV_FIND_LINKS (pip reads its own variable)."""
        if wheels and not wheels.is_dir():
            raise StepFailed(f"✗ the wheel folder {wheels} is not there; give an existing folder")
        links = re.split(r"[,\s]+", os.environ.get("UV_FIND_LINKS", ""))
        given = [str(link) for link in (wheels, *links) if link]
        return cls(environment, given, _cache_folder(environment))

    @property
    def requirement(self) -> str:
        """The pinned requirement of mmcv."""
        return self.environment.requirements["onedl-mmcv"]

    def find(self) -> Path | None:
        """A wheel that fits this Python and this machine, copied into the cache if need be."""
        links = [part for link in (self.cache, *self.given) for part in ("--find-links", link)]
        with tempfile.TemporaryDirectory() as found:
            command = [*_pip(self.environment), "download", "-q", "--no-deps", *links]
            command += ["--only-binary", ":all:", "--dest", found, self.requirement]
            got = subprocess.run(
                [str(part) for part in command],
                capture_output=True,
                check=False,
                env=self.environment.variables,
            )
            return self.keep(next(Path(found).glob("*.whl"))) if got.returncode == 0 else None

    def keep(self, wheel: Path) -> Path:
        """Put `wheel` into the cache, whole or not at all."""
        self.cache.mkdir(parents=True, exist_ok=True)
        part = self.cache / f"{wheel.name}.part{os.getpid()}"
        shutil.copyfile(wheel, part)
        return part.replace(self.cache / wheel.name)


def obtain(source: WheelSource, installer: Installer) -> Path:
    """The wheel of mmcv: the one found, else a new one from source.

    Raises:
        StepFailed: where the build fails or the machine cannot build.
    """
    with exclusive(source.cache / ".lock"):
        wheel = source.find()
        if wheel is None:
            _check_toolchain()
            _announce(source)
            wheel = _build(source, installer)
        return wheel


def _pip(environment: Environment) -> list[str | Path]:
    return [environment.python, "-m", "pip"]


def _cache_folder(environment: Environment) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch = environment.requirements["torch"].replace("==", "-")
    machine = f"{platform.system()}-{platform.machine()}".lower()
    operators = "cuda" if _nvcc() else "cpu"
    return home / "detnas" / "wheels" / f"{torch}-cp311-{machine}-{operators}"


def _nvcc() -> str | None:
    cuda = os.environ.get("CUDA_HOME")
    return shutil.which("nvcc", path=f"{cuda}/bin" if cuda else None)


def _check_toolchain() -> None:
    compilers = [os.environ.get("CXX", "").split(" ")[0], *COMPILERS]
    if not any(shutil.which(name) for name in compilers if name):
        raise StepFailed(
            "✗ mmcv must be built from source and there is no C++ compiler on PATH (looked for "
            f"{', '.join(COMPILERS)}).\n  Install one (for example: apt install g++), or give a "
            "folder with a ready wheel: --wheels DIR"
        )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise StepFailed(
            f"✗ mmcv must be built from source and Python's header is missing: {header}.\n"
            "  Install it (for example: apt install python3.11-dev), or give a folder with a "
            "ready wheel: --wheels DIR"
        )


def _jobs() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    asked = os.environ.get("MAX_JOBS")
    return (
        int(asked) if asked else max(1, min(os.cpu_count() or 1, int(memory) // GIGABYTES_PER_JOB))
    )


def _announce(source: WheelSource) -> None:
    minutes = round(CORE_MINUTES / _jobs())
    if source.given:
        say(f"  no wheel of {source.requirement} that fits here in {', '.join(source.given)}")
    say(
        f"  {source.requirement} has no wheel in the registry: its operators are compiled from "
        f"source now,\n  about {minutes} min with {_jobs()} jobs"
        f"{' (longer with CUDA operators)' if _nvcc() else ''}, once on this machine: the wheel "
        f"stays in\n  {source.cache}\n"
        f"  An interrupted build goes on where it stopped. Log: {_log(source)}"
    )


def _log(source: WheelSource) -> Path:
    return source.cache / "build.log"


def _build(source: WheelSource, installer: Installer) -> Path:
    pins = source.environment.requirements
    needs = [pins["torch"], pins["torchvision"], *BUILD_TOOLS]
    installer.install("installing torch and the build tools", needs)
    variables = {**source.environment.variables, "MMCV_WITH_OPS": "1", "MAX_JOBS": str(_jobs())}
    if not _nvcc():
        variables["CUDA_VISIBLE_DEVICES"] = ""  # without nvcc only CPU operators can be built
    with tempfile.TemporaryDirectory(dir=source.cache) as target:
        command = [*_pip(source.environment), "wheel", "-v", "--no-deps", "--no-build-isolation"]
        command += ["--wheel-dir", target, _source_tree(source)]
        log = _log(source)
        run_logged("building mmcv", command, log, variables, lambda: _compiled(log))
        wheel = source.keep(next(Path(target).glob("*.whl")))
    shutil.rmtree(source.cache / "source")
    return wheel


def _source_tree(source: WheelSource) -> Path:
    """The unpacked source; a tree from an interrupted build is used again with its objects."""
    folder = source.cache / "source"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=source.cache) as target:
            command = [*_pip(source.environment), "download", "--no-deps", "--no-build-isolation"]
            command += ["--no-binary", "onedl-mmcv", "--dest", target, source.requirement]
            log = source.cache / "download.log"
            run_logged("getting mmcv's source", command, log, source.environment.variables)
            unpacked = Path(target) / "unpacked"
            shutil.unpack_archive(next(Path(target).glob("*.tar.gz")), unpacked)
            unpacked.rename(folder)
    return next(folder.iterdir())


def _compiled(log: Path) -> str:
    """Ninja's last count in the log, as `57 of 190 files compiled`."""
    with log.open("rb") as lines:
        lines.seek(max(0, log.stat().st_size - 65536))
        counts = re.findall(rb"^\s*\[(\d+)/(\d+)\]", lines.read(), re.MULTILINE)
    return f"{int(counts[-1][0])} of {int(counts[-1][1])} files compiled" if counts else ""
