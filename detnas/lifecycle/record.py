"""The record of a search in the store: `search.json`."""

import contextlib
import platform
import re
from dataclasses import dataclass
from typing import Any

from pydantic import field_serializer, field_validator

from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.settings import DataLocation
from detnas.schema import Schema
from detnas.spec.manifest import DetNASSearch
from detnas.spec.search import MAX_TRIALS
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record, replace_record
from detnas.store.errors import VersionConflict
from detnas.store.record_format import decode_record
from detnas.version import own_version


class SearchRecord(Schema):
    """`search.json`: the settings of a search.

    Attributes:
        uid: of the search.
        folder: base of the manifest's relative paths; empty on a cluster.
        data: location of its data set; of the latest run, as the folder.
        manifest: every setting of the latest run, with defaults; runs of one search differ only in
            what changes no result, such as the number of trials.
        versions: of the software that began it.
        image: of the trainer's container when the search began; empty on one machine.
    """

    uid: str
    folder: str
    data: DataLocation
    manifest: DetNASSearch
    versions: dict[str, str]
    image: str = ""

    @field_validator("manifest", mode="before")
    @classmethod
    def _bounded(cls, manifest: Any) -> Any:
        # Earlier versions accepted more trials, and searches that ask for more are still read.
        match manifest:
            case {"spec": {"search": {"trials": int(trials)} as search} as spec}:
                bounded = {**search, "trials": min(trials, MAX_TRIALS)}
                return {**manifest, "spec": {**spec, "search": bounded}}
        return manifest

    @field_serializer("manifest")
    def _with_defaults(self, manifest: DetNASSearch) -> dict[str, Any]:
        # A later version's other defaults must not change a search that has begun. What is not
        # set is left out: an earlier version may not have the field.
        return manifest.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True)
class StoredSearch:
    """A search and the store of its records and weights.

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
    """Read the record of the search in a folder; None if it has not begun."""
    return load_record(store, keys.search_record_key(search), SearchRecord)


def searches_named(store: Store, namespace: str, name: str) -> list[str]:
    """Return the keys of the folders of all searches that have or had a name in a namespace."""
    parent = keys.searches_folder(namespace)
    pattern = re.compile(f"{re.escape(name)}-[0-9a-f]{{8}}")
    named = [folder for folder in store.folders(f"{parent}/") if pattern.fullmatch(folder)]
    return [
        f"{parent}/{folder}"
        for folder in named
        if store.size(keys.search_record_key(f"{parent}/{folder}")) is not None
    ]


def count_trial_results(store: Store, search: str) -> int:
    """Return how many trials of a search have a result, by listing their folders."""
    prefix = f"{search}/trials/"
    names = (key.removeprefix(prefix) for key in store.list(prefix))
    return sum(name.partition("/")[2] == keys.RESULT for name in names)


def record_search(store: Store, search: str, record: SearchRecord) -> SearchRecord:
    """Write or update `search.json`; return what is stored.

    An update changes the manifest, the location of the data, and the UID of a resource that was
    created again: a search keeps the image and the versions it began with.

    Args:
        store: where the search is stored.
        search: key of its folder.
        record: its current settings.
    """
    key = keys.search_record_key(search)
    stored = store.get(key)
    if stored is None:
        create_record(store, key, record)
        return record
    before = decode_record(stored.data, f"{store.uri}/{key}", SearchRecord)
    latest = {name: getattr(record, name) for name in ("uid", "manifest", "folder", "data")}
    now = before.model_copy(update=latest)
    if now == before:
        return before
    with contextlib.suppress(VersionConflict):  # another process of this search was first
        replace_record(store, key, now, stored.version)
    return now


def versions() -> dict[str, str]:
    """Versions of the software that runs the search."""
    return {"python": platform.python_version(), "detnas": own_version()}
