"""A base image in place of the public one, from this machine's Python: no registry is asked.

It holds Python with venv and ensurepip, a shell, what these load, and wheels to install from.
"""

import itertools
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tools.node.images import PODMAN
from tools.process import run_piped

WHEELS = "opt/wheels"
SHELL = Path("/bin/sh")
GRANTED = (
    *("libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libdl.so.2", "libpthread.so.0"),
    *("libm.so.6", "libutil.so.1", "libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2"),
)
NOT_COPIED = (
    "site-packages",
    "test",
    "__pycache__",
    "idlelib",
    "tkinter",
    "config-*",
    "turtledemo",
)


def make_base(image: str, rootfs: Path) -> None:
    """Import the folder, in which the wheels lie already, as an image.

    Raises:
        StepFailed: podman does not take it.
    """
    _copy_python(rootfs / "usr" / "local")
    _copy(SHELL, rootfs)
    extensions = (rootfs / "usr/local/lib").rglob("*.so*")
    loaded = map(_loaded, (Path(sys.executable).resolve(), SHELL, *extensions))
    for library in (*itertools.chain.from_iterable(loaded), *_taken_for_granted()):
        _copy(library, rootfs)
    for folder in ("tmp", "etc", "proc", "sys", "dev"):
        (rootfs / folder).mkdir(exist_ok=True)
    variables = ("PATH=/usr/local/bin:/usr/bin:/bin", "PIP_NO_INDEX=1", f"PIP_FIND_LINKS=/{WHEELS}")
    changes = [word for each in variables for word in ("--change", f"ENV {each}")]
    archive = ["tar", "-C", str(rootfs), "-c", "."]
    run_piped(archive, [*PODMAN, "import", *changes, "-", image], "the base cannot be imported")


def _copy_python(prefix: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    target = prefix / "lib" / library.name
    shutil.copytree(library, target, ignore=shutil.ignore_patterns(*NOT_COPIED))
    program = prefix / "bin" / library.name
    program.parent.mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), program)


def _loaded(program: Path) -> list[Path]:
    """Shared libraries that a program or another library loads; libpython among them."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    words = [line.split("=>")[-1].split() for line in listed.splitlines()]
    return [Path(each[0]) for each in words if each and each[0].startswith("/")]


def _taken_for_granted() -> list[Path]:
    """Libraries that no wheel brings, since every Linux is expected to have them."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = dict(
        re.findall(
            r"^\s*(\S+) \(libc6,(?:x86-64|AArch64).*\) => (\S+)$", listed.stdout, re.MULTILINE
        )
    )
    return [Path(found[name]) for name in GRANTED if name in found]


def _copy(file: Path, rootfs: Path) -> None:
    """Copy a file to its own place below another root; libpython where libraries are looked for."""
    place = (
        Path("usr/lib", file.name) if file.name.startswith("libpython") else file.relative_to("/")
    )
    target = rootfs / place
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.resolve(), target)
