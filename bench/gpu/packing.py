"""Packages for a machine that has torch and no network, as one archive."""

import importlib.metadata
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ARCHIVE = "packages.tar.gz"

_COPIED = (
    "onedl-mmcv", "onedl-mmdetection", "onedl-mmengine", "addict", "imaug", "termcolor",
    "terminaltables", "yapf", "platformdirs", "pydantic", "annotated-types", "typing-extensions",
    "typing-inspection",
)  # fmt: skip
"""Pure Python: as they are installed here."""

_FETCHED = ("numpy", "pycocotools", "faster-coco-eval", "pydantic-core", "shapely")
"""Compiled: this environment's versions, for the other machine's Python."""

_PLATFORM = "x86_64-manylinux_2_28"
_LEFT_OUT = (".mim", "__pycache__")


def pack(folder: Path, python: str) -> Path:
    """Write the archive; return its path.

    Args:
        folder: where to.
        python: version of the other machine's Python, such as ``3.12``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ARCHIVE
    with tempfile.TemporaryDirectory() as fetched, tarfile.open(path, "w:gz") as archive:
        _fetch(Path(fetched), python)
        for path_here in sorted(Path(fetched).iterdir()):
            archive.add(path_here, path_here.name, filter=_wanted)
        for file, name in _installed():
            archive.add(file, name, filter=_wanted)
    return path


def unpack(packages: Path, folder: Path) -> Path:
    """Unpack the archive that a folder holds; return what belongs on the path."""
    with tarfile.open(packages / ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _fetch(folder: Path, python: str) -> None:
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in _FETCHED]
    uv = str(Path(sys.executable).with_name("uv"))
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
    options += ["--python-version", python, "--python-platform", _PLATFORM]
    subprocess.run([uv, "pip", "install", *options, *wanted], check=True)


def _installed() -> Iterator[tuple[str, str]]:
    """Files of the copied packages, and their names relative to site-packages."""
    for name in _COPIED:
        for file in importlib.metadata.files(name) or ():
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.is_file():
                yield str(path), str(file)


def _wanted(file: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if set(Path(file.name).parts) & set(_LEFT_OUT) else file
