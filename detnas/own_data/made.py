"""Annotation files that are written beside a data set, once, and what they were made from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detnas.errors import UserError
from detnas.own_data.files import write_json

MADE = "made-from.json"
"""States what the files beside it were made from; it is written last."""
UNFINISHED = "unfinished.json"
"""States the same while they are being written."""

_VERSION = 1
"""Raised whenever the same data set would be converted or divided otherwise than before."""


def write_made(
    place: Path, documents: Mapping[str, Any], source: Mapping[str, str], *, replace: bool
) -> bool:
    """Write annotation files beside a data set, once; the statement of their origin is the last.

    Args:
        place: folder.
        documents: content by file name.
        source: what they are made from: digests by name.
        replace: write them again if they were made from something else.

    Returns:
        Whether anything was written.

    Raises:
        UserError: the folder has something else in it.
    """
    origin = origin_of(source)
    if made_from(place) == origin and all((place / name).is_file() for name in documents):
        return False
    claim(place, documents, source, replace=replace)
    for name, document in documents.items():
        write_json(place / name, document)
    write_json(place / MADE, origin)
    (place / UNFINISHED).unlink(missing_ok=True)
    return True


def claim(place: Path, names: Iterable[str], source: Mapping[str, str], *, replace: bool) -> Path:
    """Return a folder that may be written to, which says what is being made in it.

    So whoever is interrupted may continue, and nobody else takes what is there for his own.

    Args:
        place: the folder.
        names: of the annotation files that will be written there.
        source: what they are made from: digests by name.
        replace: it may hold what was made from something else.

    Raises:
        UserError: it does, or holds files of unknown origin.
    """
    origin = origin_of(source)
    taken = [name for name in names if (place / name).exists()]
    ours = origin in (_stated(place / MADE), _stated(place / UNFINISHED))
    if taken and not replace and not ours:
        known = _stated(place / MADE) or _stated(place / UNFINISHED)
        what = "was made from another data set, or another state of this one"
        raise UserError(
            f"{place / taken[0]} {what if known else 'is there, and not from `detnas init`'}",
            "remove the folder, name another with --converted DIR, or replace it with --force; "
            "searches that have begun with it then refuse to continue",
        )
    write_json(place / UNFINISHED, origin)
    (place / MADE).unlink(missing_ok=True)
    return place


def origin_of(source: Mapping[str, str]) -> dict[str, Any]:
    """Return what is stated of files made from this."""
    return {"version": _VERSION, "source": dict(source)}


def made_from(place: Path) -> dict[str, Any] | None:
    """Return what the files in a folder were made from; None if it does not say."""
    return _stated(place / MADE)


def _stated(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
