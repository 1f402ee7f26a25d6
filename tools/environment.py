"""The checkout's own environment in `.venv`: made once, then found ready at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tools.process import Command, StepFailed, clock, run_logged, say

EXTRAS = "trainer,operator,report,export,dev"
IMPORTS = "import cv2, detnas, detnas_operator, detnas_trainer.openmmlab"
UNUSED = ("opencv-python", "triton", "imagecorruptions-imaug", "numba", "llvmlite")
RECIPE = 2  # raise it when the way of installing changes


@dataclass(frozen=True)
class Environment:
    """Where things are in a checkout."""

    root: Path
    name: str = ".venv"
    interpreter: str = sys.executable

    @property
    def folder(self) -> Path:
        """The virtual environment."""
        return self.root / self.name

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.program("python")

    @property
    def logs(self) -> Path:
        """Folder of the output of installations."""
        return self.folder / "logs"

    @property
    def constraints(self) -> Path:
        """The exact versions the project is tested with."""
        return self.root / "constraints.txt"

    def program(self, name: str) -> Path:
        """An installed command."""
        return self.folder / "bin" / name

    @cached_property
    def variables(self) -> dict[str, str]:
        """The process environment with the virtual environment active."""
        ours = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
        ours["VIRTUAL_ENV"] = str(self.folder)
        ours["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{ours.get('PATH', os.defpath)}"
        return ours

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """The content of pyproject.toml."""
        return tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))

    def digest(self) -> str:
        """What a finished installation depends on; settings of linters and tests do not count."""
        tools = {name: self.pyproject["tool"].get(name) for name in ("hatch", "uv")}
        asked = [self.pyproject["build-system"], self.pyproject["project"], tools]
        pins = self.constraints.read_text(encoding="utf-8") if self.constraints.exists() else ""
        python = _python_version(self.interpreter)
        machine = [platform.system(), platform.machine(), python, str(self.root)]
        return hashlib.sha256(
            json.dumps([RECIPE, EXTRAS, asked, pins, machine]).encode()
        ).hexdigest()

    @property
    def stamp(self) -> Path:
        """Holds the digest of the installation that was finished."""
        return self.folder / "detnas-installed"

    @property
    def unfinished(self) -> Path:
        """Exists while an installation is under way, and after one was killed."""
        return self.folder / "detnas-installing"

    def is_ready(self) -> bool:
        """Whether the installation is finished and still what the checkout asks for."""
        return (
            self.python.exists()
            and self.stamp.exists()
            and self.stamp.read_text(encoding="utf-8") == self.digest()
        )


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; say so where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that holds {path} …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def installing(environment: Environment) -> Iterator[bool]:
    """Hold the checkout for one installation; yields whether one is needed.

    The stamp is written last, when the body has ended well. An environment left by a killed
    installation is emptied first, as its packages may be half there.
    """
    with exclusive(environment.root / f"{environment.name}.lock"):
        needed = not environment.is_ready()
        if needed:
            _create(environment, clear=environment.unfinished.exists())
        yield needed
        if needed:
            environment.stamp.write_text(environment.digest(), encoding="utf-8")
            environment.unfinished.unlink()


def _create(environment: Environment, *, clear: bool) -> None:
    clear = clear or not _same_python(environment)
    options = ["--clear"] if clear else []
    command = [environment.interpreter, "-m", "venv", *options, environment.folder]
    made = subprocess.run([str(part) for part in command], capture_output=True, text=True)  # noqa: PLW1510
    if made.returncode:
        raise StepFailed(
            f"{made.stdout}{made.stderr}\n✗ cannot make {environment.folder}; on Debian and Ubuntu "
            "the package python3-venv is needed"
        )
    environment.unfinished.touch()
    environment.stamp.unlink(missing_ok=True)


def _same_python(environment: Environment) -> bool:
    return _python_version(str(environment.python)) == _python_version(environment.interpreter)


@cache
def _python_version(interpreter: str) -> str:
    """The whole version of an interpreter; empty where it does not start."""
    if interpreter == sys.executable:
        return sys.version
    try:
        asked = subprocess.run(  # noqa: PLW1510
            [interpreter, "-c", "import sys; print(sys.version)"], capture_output=True, text=True
        )
    except OSError:
        return ""
    return asked.stdout.strip()


@dataclass(frozen=True)
class Installer:
    """Installs packages into an environment: by uv, or by pip where uv cannot be had."""

    environment: Environment
    command: tuple[str, ...]
    is_uv: bool

    @classmethod
    def into(cls, environment: Environment) -> Installer:
        """The quickest installer that this machine can get."""
        pip: Command = [environment.python, "-m", "pip", "install", "-q", "uv"]
        try:
            run_logged("getting uv", pip, environment.logs / "uv.log", environment.variables)
        except StepFailed:
            say("  uv cannot be had here; installing by pip, which takes longer")
            return cls(environment, (str(environment.python), "-m", "pip", "install"), is_uv=False)
        uv = (str(environment.program("uv")), "pip", "install", "--python", str(environment.python))
        return cls(environment, uv, is_uv=True)

    def install(self, title: str, requirements: Sequence[str | Path]) -> None:
        """Install `requirements` at the project's tested versions.

        Raises:
            StepFailed: with the end of the installer's output.
        """
        constraints = self.environment.constraints
        pins: Command = ["--constraint", constraints] if constraints.exists() else []
        log = self.environment.logs / f"{title.replace(' ', '-')}.log"
        command: Command = [*self.command, *pins, *requirements]
        run_logged(title, command, log, self.environment.variables)

    def remove_unused(self) -> None:
        """Remove what pyproject.toml tells uv to leave out, such as a second cv2."""
        if self.is_uv:
            return
        pip: Command = [self.environment.python, "-m", "pip"]
        logs, variables = self.environment.logs, self.environment.variables
        remove: Command = [*pip, "uninstall", "-y", *UNUSED]
        run_logged("removing what is not used", remove, logs / "unused.log", variables)
        # opencv-python has taken files of this one along.
        again: Command = ["--force-reinstall", "--no-deps", "opencv-python-headless"]
        self.install("restoring opencv-python-headless", again)


def setup(environment: Environment) -> None:
    """Make the environment ready, at once where it already is.

    Raises:
        StepFailed: with the end of the output of the step that failed.
    """
    if environment.is_ready():
        return
    with installing(environment) as needed:
        if needed:
            _install(environment)


def _install(environment: Environment) -> None:
    say(f"── setting up {environment.folder} (once; 5.2 GB)")
    started = time.monotonic()
    installer = Installer.into(environment)
    installer.install("installing detnas", ["--editable", f"{environment.root}[{EXTRAS}]"])
    installer.remove_unused()
    check: Command = [environment.python, "-W", "ignore", "-c", IMPORTS]
    log = environment.logs / "imports.log"
    run_logged("checking the imports", check, log, environment.variables)
    say(f"✓ the environment is ready ({clock(time.monotonic() - started)})")
