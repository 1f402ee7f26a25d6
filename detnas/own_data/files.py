"""Files that people made, and files that are written beside them."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detnas.errors import UserError
from detnas.store.durable_files import replace_file

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")
)

_DEEP = 4
"""Folders below a data set's own in which its files are looked for."""


def files_below(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files of these kinds in a folder and those below it, in the order of their paths.

    Hidden files and folders are left out, such as `.git` and macOS's `._` files.

    Args:
        folder: where to look, and at most four folders deep below it.
        suffixes: of file names, in small letters, such as ``.json``.
    """
    wanted, found = tuple(suffixes), []
    for place, folders, names in os.walk(folder):
        below = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if name[0] != "." and below < _DEEP)
        found += [
            Path(place, name) for name in names if name[0] != "." and name.lower().endswith(wanted)
        ]
    return sorted(found)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file that appears complete or not at all.

    Raises:
        UserError: its folder cannot be written to.
    """
    write_text(path, json.dumps(document, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 that appears complete or not at all.

    Raises:
        UserError: its folder cannot be written to.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror})",
            "name a folder of your own: --converted DIR for annotations, --to FILE for a manifest",
        ) from error
