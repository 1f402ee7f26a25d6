"""The images, built by podman from the Dockerfiles; their base comes from the system's packages."""

from __future__ import annotations

import ast
import configparser
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.node.containerd import PAUSE_IMAGE
from tools.node.network import run, succeeds
from tools.process import Command, StepFailed, run_logged, run_piped

BASE_IMAGE = "localhost/detnas-base:python3.11"
BASE_PACKAGES = ("python3.11", "python3.11-venv", "python3-distutils", "ca-certificates")
NO_USE = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "var/log")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What tells pip where packages come from; the rest of its configuration stays outside.
PIP_SETTINGS = (
    "index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "no-index"
)  # fmt: skip
PODMAN = ("podman", "--runtime", "runc")
STOPPABLE = (sys.executable, str(Path(__file__).with_name("stoppable.py")))
# Without CAP_SYS_RESOURCE the limits that podman would set cannot be raised.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")


@dataclass(frozen=True, slots=True)
class ImageBuilder:
    """Builds images from the checkout `root`, with its logs in `logs`."""

    root: Path
    logs: Path

    def base(self) -> str:
        """The image that all others begin from, made from the system's packages if need be.

        Raises:
            StepFailed: with the end of the log.
        """
        if not exists(BASE_IMAGE):
            with tempfile.TemporaryDirectory() as folder:
                self._make_base(Path(folder) / "rootfs")
        return BASE_IMAGE

    def pause(self, base: str) -> str:
        """The image of every pod's sandbox, which does nothing."""
        with tempfile.TemporaryDirectory() as folder:
            dockerfile = Path(folder) / "Dockerfile"
            dockerfile.write_text(
                f'FROM {base}\nENTRYPOINT ["sleep", "infinity"]\n', encoding="utf-8"
            )
            command: Command = [*PODMAN, "build", "--tag", PAUSE_IMAGE, "-f", dockerfile, folder]
            run(command)
        return PAUSE_IMAGE

    def build(self, name: str, base: str, version: str, options: Sequence[str] = ()) -> str:
        """The image of `dockerfiles/<name>.Dockerfile`; steps that have not changed are kept.

        Raises:
            StepFailed: with the end of the log.
        """
        image = image_name(name, version)
        with _pip_configuration() as secrets:
            command: Command = [
                *STOPPABLE, *PODMAN, "build", "--force-rm", "--network", "host", *LIMITS, *secrets,
                "--build-arg", f"BASE={base}", "--build-arg", f"VERSION={version}", *options,
                "--tag", image, "--file", self.root / "dockerfiles" / f"{name}.Dockerfile",
                self.root,
            ]  # fmt: skip
            run_logged(f"image {image}", command, self.logs / f"{name}.log")
        return image

    def _make_base(self, rootfs: Path) -> None:
        suite, mirror = _debian()
        packages = ",".join(BASE_PACKAGES)
        command: Command = [
            "debootstrap", "--variant=minbase", f"--include={packages}", suite, rootfs, mirror
        ]  # fmt: skip
        run_logged("a base image from the system's packages", command, self.logs / "base.log")
        run(["chroot", rootfs, "apt-get", "clean"])
        for path in (*NO_USE, "var/lib/apt/lists"):
            empty(rootfs / path)
        archive: Command = ["tar", "-C", rootfs, "-c", "."]
        run_piped(
            archive, [*PODMAN, "import", "-", BASE_IMAGE], "the base image cannot be imported"
        )


def empty(folder: Path) -> None:
    """Delete all that a folder holds; links go, and not what they lead to."""
    for inside in folder.iterdir():
        if inside.is_dir() and not inside.is_symlink():
            shutil.rmtree(inside)
        else:
            inside.unlink()


def image_name(name: str, version: str) -> str:
    """What the image of `dockerfiles/<name>.Dockerfile` is called."""
    return f"localhost/detnas-{name}:{version}"


def save(images: Sequence[str]) -> list[str]:
    """The command that writes images as one archive to its output."""
    return [*PODMAN, "save", "--quiet", "--multi-image-archive", *images]


def megabytes(image: str) -> float:
    """Size of an image as a registry would keep it, compressed layer by layer."""
    with tempfile.TemporaryDirectory() as folder:
        run([*PODMAN, "push", "--quiet", "--compress", image, f"dir:{folder}"])
        return sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6


def exists(image: str) -> bool:
    """Whether podman has the image."""
    return bool(shutil.which("podman")) and succeeds([*PODMAN, "image", "exists", image])


def _debian() -> tuple[str, str]:
    """The system's suite and the mirror that its packages come from."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages"]
    )
    release = configparser.ConfigParser()
    release.read_string(f"[os]\n{Path('/etc/os-release').read_text(encoding='utf-8')}")
    suite = release["os"].get("VERSION_CODENAME", "").strip('"')
    for line in listed.splitlines():
        codename, _, site = line.partition(" ")
        if codename == suite:
            return suite, site
    raise StepFailed(
        f"✗ no source of packages for {suite or 'this system'}; give an image to build from:\n"
        "  python3 dev.py e2e --base IMAGE"
    )


@contextlib.contextmanager
def _pip_configuration() -> Iterator[list[str]]:
    """Options that hand this machine's package index to a build, as secrets that it does not keep.

    An index in a configuration file of this machine is found as well as one in its environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pip.conf"
        file.touch(mode=0o600)
        file.write_text(pip_settings(_pip_configured()), encoding="utf-8")
        secrets = ["--secret", f"id=pip.conf,src={file}"]
        if CERTIFICATES.exists():
            secrets += ["--secret", f"id={CERTIFICATES.name},src={CERTIFICATES}"]
        yield secrets


def _pip_configured() -> str:
    """What pip reads from its files and from the environment, as `pip config list` prints it."""
    ask: Command = [sys.executable, "-m", "pip", "config", "list"]
    if succeeds(ask):
        return run(ask)
    ours = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return "\n".join(
        f":env:.{name.removeprefix('PIP_').lower().replace('_', '-')}={value!r}"
        for name, value in ours.items()
    )


def pip_settings(listed: str) -> str:
    """A configuration file with what `pip config list` says about where packages come from."""
    chosen: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if name in PIP_SETTINGS and (name not in chosen or section == ":env:"):
            chosen[name] = " ".join(str(ast.literal_eval(value)).split())
    if os.access(CERTIFICATES, os.R_OK):
        chosen["cert"] = str(CERTIFICATES)  # the only place where the build has them
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in chosen.items())
