"""From a manifest's path to a search: which store, which folder, which settings."""

import contextlib
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from detnas.errors import UserError
from detnas.plan.digest import settings_digest
from detnas.plan.identity import local_uid
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.settings import DataLocation
from detnas.schema import Schema
from detnas.spec.loading import load_manifest, read_manifest
from detnas.spec.manifest import DetNASSearch
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record, load_record, parse_record, replace_record
from detnas.store.base import RESERVED_FOLDER
from detnas.store.cache import default_cache_folder

DEFAULT_STORE = "runs"


class SearchRecord(Schema):
    """What a search is told: `search.json`.

    Attributes:
        uid: of the search.
        folder: where the manifest's relative paths started from.
        data: where its data set lies.
        manifest: every setting of the latest run, defaults filled in; runs of one search differ
            only in what changes no result, such as the number of trials.
        versions: of what began it.
    """

    uid: str
    folder: str
    data: DataLocation
    manifest: DetNASSearch
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class OpenedSearch:
    """A search, and where everything of it lies.

    Attributes:
        store: records and weights.
        requests: builds its requests and names its folders.
        uid: of the search.
        local: folder of this machine's own files: logs of running jobs, the lock.
    """

    store: Store
    requests: SearchRequests
    uid: str
    local: Path

    @property
    def uri(self) -> str:
        """Of the search's folder."""
        return f"{self.store.uri}/{self.requests.search}"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says other than the manifest.

    Attributes:
        store: URI or folder.
        namespace: of the search.
        parallelism: trials at the same time.
    """

    store: str | None = None
    namespace: str | None = None
    parallelism: int | None = None


def open_search(path: Path, overrides: Overrides = Overrides()) -> OpenedSearch:
    """Find the search that a manifest means; nothing is written.

    Raises:
        UserError: the manifest or the store can not be used.
    """
    manifest = _overridden(load_manifest(path), overrides, str(path))
    spec, metadata = manifest.spec, manifest.metadata
    stored = overrides.store or (spec.storage.uri if spec.storage else DEFAULT_STORE)
    store = open_store(store_uri(stored))
    uid = local_uid(manifest)
    folder = keys.search_folder(metadata.namespace, metadata.name, uid)
    requests = SearchRequests(manifest, folder, path.absolute().parent)
    return OpenedSearch(store, requests, uid, _local_folder(store.uri, folder))


def reopen_search(uri: str) -> OpenedSearch:
    """Find the search whose folder is at a URI or a path.

    Raises:
        UserError: there is none.
    """
    uri = store_uri(uri.rstrip("/"))
    record = load_record(open_store(uri), "search.json", SearchRecord)
    if record is None:
        raise UserError(
            f"{uri} holds no search",
            "give a manifest, or the URI of a search's folder such as "
            "file:///…/runs/local/searches/digits-0123abcd",
        )
    metadata = record.manifest.metadata
    folder = keys.search_folder(metadata.namespace, metadata.name, record.uid)
    if not uri.endswith(f"/{folder}"):
        raise UserError(f"{uri} does not end with {folder}", "move the whole store, not a folder")
    store = open_store(uri.removesuffix(f"/{folder}"))
    requests = SearchRequests(record.manifest, folder, Path(record.folder))
    return OpenedSearch(store, requests, record.uid, _local_folder(store.uri, folder))


def record_search(search: OpenedSearch) -> None:
    """Write `search.json`, or bring the manifest in it up to date.

    Raises:
        UserError: the search began with its data set in another place.
    """
    key = keys.search_record_key(search.requests.search)
    data, manifest = search.requests.data, search.requests.manifest
    stored = search.store.get(key)
    if stored is None:
        record = SearchRecord(
            uid=search.uid,
            folder=str(search.requests.folder),
            data=data,
            manifest=manifest,
            versions=versions(),
        )
        create_record(search.store, key, record)
        return
    before = parse_record(stored.data, f"{search.store.uri}/{key}", SearchRecord)
    if before.data != data:
        raise UserError(
            f"search {search.requests.search} began with its data in {before.data.root}, "
            f"and spec.dataset.source.directory now means {data.root}",
            "move the data back, or give the search another metadata.name",
        )
    if before.manifest != manifest:
        record = before.model_copy(update={"manifest": manifest})
        replace_record(search.store, key, record, stored.version)


def store_uri(text: str) -> str:
    """Return the URI of a store that a person named by a URI or a folder."""
    # "s3:/bucket" is a slip of the pen, never a folder; the store's own error says so.
    is_uri = ":" in text.split("/", 1)[0]
    return text if is_uri else Path(text).absolute().as_uri()


def versions() -> dict[str, str]:
    """Versions of what runs the search."""
    found = {"python": platform.python_version(), "detnas": "unknown"}
    with contextlib.suppress(PackageNotFoundError):
        found["detnas"] = version("detnas")
    return found


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _overridden(manifest: DetNASSearch, overrides: Overrides, source: str) -> DetNASSearch:
    # Copying checks nothing, so the values go through the models again.
    changed: dict[str, Any] = manifest.model_dump(by_alias=True, exclude_unset=True, mode="json")
    if overrides.namespace is not None:
        changed["metadata"]["namespace"] = overrides.namespace
    if overrides.parallelism is not None:
        changed["spec"].setdefault("search", {})["parallelism"] = overrides.parallelism
    return read_manifest(changed, f"{source}, with what the command line says,")


def _local_folder(uri: str, folder: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        root = Path(unquote(parts.path)) / RESERVED_FOLDER
    else:
        root = default_cache_folder() / "stores" / settings_digest(uri)[:16]
    return root / "runs" / folder
