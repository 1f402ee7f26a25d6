"""What a search is told, in the store: `search.json`."""

import contextlib
import platform
import re
from dataclasses import dataclass
from typing import Any

from pydantic import field_serializer

from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.settings import DataLocation
from detnas.schema import Schema
from detnas.spec.manifest import DetNASSearch
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record, parse_record, replace_record
from detnas.store.errors import VersionConflict
from detnas.version import own_version


class SearchRecord(Schema):
    """What a search is told: `search.json`.

    Attributes:
        uid: of the search.
        folder: where the manifest's relative paths start from; empty on a cluster.
        data: where its data set lies; the latest run's, as the folder.
        manifest: every setting of the latest run, defaults filled in; runs of one search differ
            only in what changes no result, such as the number of trials.
        versions: of what began it.
        image: of the trainer's container, as it was when the search began; empty on one machine.
    """

    uid: str
    folder: str
    data: DataLocation
    manifest: DetNASSearch
    versions: dict[str, str]
    image: str = ""

    @field_serializer("manifest")
    def _with_defaults(self, manifest: DetNASSearch) -> dict[str, Any]:
        # A later version's defaults may be others, and change no search that has begun. What is
        # not set is left out: an earlier version may not have the field.
        return manifest.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True)
class StoredSearch:
    """A search, and where its records and weights lie.

    Attributes:
        store: records and weights.
        requests: builds its requests and names its folders.
    """

    store: Store
    requests: SearchRequests

    @property
    def uri(self) -> str:
        """Of the search's folder."""
        return f"{self.store.uri}/{self.requests.search}"


def load_search_record(store: Store, search: str) -> SearchRecord | None:
    """Read what a search is told; none where it has not begun.

    Args:
        store: where it lies.
        search: key of its folder.
    """
    return load_record(store, keys.search_record_key(search), SearchRecord)


def searches_named(store: Store, namespace: str, name: str) -> list[str]:
    """Keys of the folders of all searches that have, or had, a name.

    Args:
        store: where they lie.
        namespace: which they are in.
        name: theirs, as in `metadata.name`.
    """
    parent = keys.searches_folder(namespace)
    right = re.compile(f"{re.escape(name)}-[0-9a-f]{{8}}")
    named = [folder for folder in store.folders(f"{parent}/") if right.fullmatch(folder)]
    return [
        f"{parent}/{folder}"
        for folder in named
        if store.size(keys.search_record_key(f"{parent}/{folder}")) is not None
    ]


def record_search(store: Store, search: str, record: SearchRecord) -> SearchRecord:
    """Write `search.json`, or bring it up to date; return what stands there.

    What was recorded first stays, but for the manifest, where the data lies, and the UID of a
    resource that was made anew: a search keeps the image and the versions it began with.

    Args:
        store: where the search lies.
        search: key of its folder.
        record: what it is told now.
    """
    key = keys.search_record_key(search)
    stored = store.get(key)
    if stored is None:
        create_record(store, key, record)
        return record
    before = parse_record(stored.data, f"{store.uri}/{key}", SearchRecord)
    latest = {name: getattr(record, name) for name in ("uid", "manifest", "folder", "data")}
    now = before.model_copy(update=latest)
    if now == before:
        return before
    with contextlib.suppress(VersionConflict):  # another process of this search was first
        replace_record(store, key, now, stored.version)
    return now


def versions() -> dict[str, str]:
    """Versions of what runs the search."""
    return {"python": platform.python_version(), "detnas": own_version()}
