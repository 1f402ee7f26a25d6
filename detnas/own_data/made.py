"""Annotation files that are written beside a data set, once, and what they were made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detnas.errors import UserError
from detnas.own_data.files import write_json

MADE = "made-from.json"
"""States what the files beside it were made from; it is written last."""

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
    taken = [name for name in documents if (place / name).exists()]
    if taken and not replace and made_from(place) != origin:
        raise UserError(
            f"{place / taken[0]} was made from another data set, or another state of this one",
            "remove the folder, name another with --converted DIR, or replace it with --force; "
            "searches that have begun with it then refuse to continue",
        )
    (place / MADE).unlink(missing_ok=True)
    for name, document in documents.items():
        write_json(place / name, document)
    write_json(place / MADE, origin)
    return True


def origin_of(source: Mapping[str, str]) -> dict[str, Any]:
    """Return what is stated of files made from this."""
    return {"version": _VERSION, "source": dict(source)}


def made_from(place: Path) -> dict[str, Any] | None:
    """Return what the files in a folder were made from; None if it does not say."""
    try:
        found = json.loads((place / MADE).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
