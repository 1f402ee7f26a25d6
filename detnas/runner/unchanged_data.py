"""Whether a search's data set on this machine is still the one it was prepared with."""

import contextlib
import time
from pathlib import Path

from pydantic import ValidationError

from detnas.data_identity import (
    FileStamps,
    PreparedData,
    data_changed,
    data_changes,
    file_change,
    load_listing,
    stamps_of,
)
from detnas.data_identity.files import newest_change
from detnas.errors import UserError
from detnas.lifecycle.record import load_search_record
from detnas.records import keys
from detnas.records.results import Outcome, PrepareResult
from detnas.runner.opening import OpenedSearch
from detnas.schema import Schema
from detnas.store.artifacts import load_record
from detnas.store.record_format import encode_record

_STAMPS = "data-stamps.json"
_SETTLED = 2.0
"""Seconds after which a change shows in a file's times, on any file system."""


class _KnownStamps(Schema):
    """Stamps of the files when their content last matched the search.

    Attributes:
        data: digests of the data that the search was prepared with.
        files: the stamps.
    """

    data: tuple[str, ...]
    files: FileStamps


def check_data_unchanged(search: OpenedSearch) -> None:
    """Check that a search that was prepared before still has its data; nothing is written.

    Raises:
        DataChangedError: annotations, images or weights have changed.
        StoreError: the store cannot be read.
    """
    if changes := changes_since(search):
        raise data_changed(changes)


def changes_since(search: OpenedSearch) -> list[str]:
    """Return what has changed, a clause for each; empty if nothing has.

    Empty also if that is unknown: the search has not been prepared, or its data set is not on this
    machine. Files that have the stamps of the last comparison are not read again.

    Raises:
        UserError: a file of the data set cannot be read.
        StoreError: the store cannot be read.
    """
    try:
        return _changes_since(search)
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be compared with what the search began with "
            f"({error.strerror})",
            "make the file readable",
        ) from error


def _changes_since(search: OpenedSearch) -> list[str]:
    record, prepared = load_search_record(search.store, search.requests.search), _prepared(search)
    location = search.requests.data
    if record is None or prepared is None:
        return []
    if not Path(location.root).is_dir():
        # A finished search may outlive its data set; one that is moved needs it at the new place.
        moved = record.data != location and prepared.annotations
        return [f"{record.data.root} is now {location.root}, which is gone"] if moved else []
    began = time.time()
    seen, splits = _seen(search, prepared), location.splits
    named = _named_files(search, prepared)
    stamps = stamps_of([*seen.files(location, splits), *(path for _, path, _ in named)])
    known = _KnownStamps(data=_digests(prepared), files=stamps)
    if known == _known_stamps(search):
        return []
    changes = data_changes(seen, location, splits)
    # A missing one was read when the base or the teacher was made, and is not needed again.
    changes += [
        f"{field} {path} has changed"
        for field, path, digest in named
        if digest and file_change(path, digest) == "changed"
    ]
    if not changes and newest_change(stamps) < began - _SETTLED:
        _store_stamps(search, known)
    return changes


def _seen(search: OpenedSearch, prepared: PrepareResult) -> PreparedData:
    """What the data check saw; test images are listed apart."""
    listing = load_listing(search.store, prepared.image_listing)
    unseen = load_listing(search.store, prepared.test_listing)
    if listing is not None and unseen is not None:
        listing = listing.model_copy(update={"test": unseen.test})
    return PreparedData(prepared.test_annotations, listing)


def _prepared(search: OpenedSearch) -> PrepareResult | None:
    key = keys.result_key(keys.prepare_folder(search.requests.search))
    result = load_record(search.store, key, PrepareResult)
    return result if result is not None and result.outcome is Outcome.SUCCEEDED else None


def _named_files(search: OpenedSearch, prepared: PrepareResult) -> list[tuple[str, Path, str]]:
    """Field, path and prepared digest of the base's and the external teacher's files.

    One in a store is checked by the job that reads it.
    """
    requests = search.requests
    named = [(requests.spec.base.weights_field, requests.weights, prepared.weights)]
    if (teacher := requests.teacher) is not None:
        digests = prepared.teacher or ("", "")
        named += [
            ("teachers.external.config", teacher.config, digests[0]),
            ("teachers.external.weights", teacher.weights, digests[1]),
        ]
    return [
        (field, Path(address), digest)
        for field, address, digest in named
        if address is not None and "://" not in address
    ]


def _digests(prepared: PrepareResult) -> tuple[str, ...]:
    images = prepared.image_listing.sha256 if prepared.image_listing else ""
    unseen = [prepared.test_listing.sha256] if prepared.test_listing else []
    return (*prepared.test_annotations, images, prepared.weights, *prepared.teacher, *unseen)


def _known_stamps(search: OpenedSearch) -> _KnownStamps | None:
    try:
        return _KnownStamps.model_validate_json((search.local / _STAMPS).read_bytes())
    except (OSError, ValidationError):
        return None


def _store_stamps(search: OpenedSearch, known: _KnownStamps) -> None:
    """Let the next comparison skip reading; if that fails, everything is read again."""
    with contextlib.suppress(OSError):
        search.local.mkdir(parents=True, exist_ok=True)
        (search.local / _STAMPS).write_bytes(encode_record(known))
