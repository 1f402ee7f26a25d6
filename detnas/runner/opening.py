"""From a manifest's path to a search: which store, which folder, which settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from detnas.errors import UserError
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.record import (
    SearchRecord,
    StoredSearch,
    record_search,
    versions,
)
from detnas.plan.digest import settings_digest
from detnas.plan.identity import local_uid
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.runner.default_store import FoundStore, default_store
from detnas.spec.loading import load_manifest, read_manifest
from detnas.spec.manifest import DetNASSearch
from detnas.store import open_store
from detnas.store.artifacts import load_record
from detnas.store.base import RESERVED_FOLDER
from detnas.store.cache import default_cache_folder


@dataclass(frozen=True)
class OpenedSearch(StoredSearch):
    """A search as this machine sees it.

    Attributes:
        uid: of the search.
        local: folder of this machine's own files: logs of running jobs, the lock.
        notice: what people should know of where it lies; empty where nothing is unusual.
    """

    uid: str
    local: Path
    notice: str = ""

    @property
    def on_cluster(self) -> bool:
        """Whether an operator began it, and runs it; never `detnas run`."""
        return self.requests.folder is None


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
    in_manifest = spec.storage.uri if spec.storage else None
    named = overrides.store or in_manifest
    uid = local_uid(manifest)
    folder = keys.search_folder(metadata.namespace, metadata.name, uid)
    beside = _whole_path(path.parent)
    found = FoundStore(open_store(store_uri(named))) if named else default_store(beside, folder)
    store, pool = found.store, spec.teachers.pool
    given = None if pool is None else pool_key(pool, store.uri)
    requests = SearchRequests(manifest, folder, beside, existing_pool=given)
    return OpenedSearch(store, requests, uid, _local_folder(store.uri, folder), found.notice)


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
    pool = record.manifest.spec.teachers.pool
    given = None if pool is None else pool_key(pool, store.uri)
    started_from = Path(record.folder) if record.folder else None
    requests = SearchRequests(record.manifest, folder, started_from, existing_pool=given)
    return OpenedSearch(store, requests, record.uid, _local_folder(store.uri, folder))


def begin(search: OpenedSearch) -> None:
    """Write `search.json`, or bring up to date what it says of manifest and data set."""
    requests = search.requests
    record = SearchRecord(
        uid=search.uid,
        folder=str(requests.folder),
        data=requests.data,
        manifest=requests.manifest,
        versions=versions(),
    )
    record_search(search.store, requests.search, record)


def store_uri(text: str) -> str:
    """Return the URI of a store that a person named by a URI or a folder.

    Raises:
        UserError: the folder's name is not text.
    """
    # "s3:/bucket" is a slip of the pen, never a folder; the store's own error says so.
    is_uri = ":" in text.split("/", 1)[0]
    return text if is_uri else _whole_path(Path(text)).as_uri()


def _whole_path(folder: Path) -> Path:
    """Return the absolute path, which is the same from whatever directory it was given."""
    whole = folder.absolute()
    try:
        str(whole).encode()
    except UnicodeEncodeError:
        raise UserError(f"the name of {whole} is not UTF-8", "rename the folder") from None
    return whole.resolve() if ".." in whole.parts else whole


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
