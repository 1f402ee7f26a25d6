"""From a manifest's path to a search: its store, folder and settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from detnas.errors import UserError
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.record import (
    SearchRecord,
    StoredSearch,
    load_search_record,
    record_search,
    versions,
)
from detnas.plan.digests import local_uid, settings_digest, with_earlier_defaults
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.spec.loading import load_manifest, read_manifest
from detnas.spec.manifest import DetNASSearch
from detnas.store import Store, open_store
from detnas.store.artifacts import load_record
from detnas.store.base import RESERVED_FOLDER
from detnas.store.cache import default_cache_folder

DEFAULT_STORE = "runs"
"""Folder beside a manifest that names no store."""

Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class OpenedSearch(StoredSearch):
    """A search on this machine.

    Attributes:
        uid: of the search.
        local: folder of this machine's own files: logs of running jobs, the lock.
        notice: what people should know about its store; empty if nothing is unusual.
    """

    uid: str
    local: Path
    notice: str = ""

    @property
    def on_cluster(self) -> bool:
        """Whether an operator began and runs it; never `detnas run`."""
        return self.requests.folder is None


@dataclass(frozen=True, slots=True)
class Overrides:
    """Options of the command line that replace settings of the manifest.

    Attributes:
        store: URI or folder.
        namespace: of the search.
        parallelism: concurrent trials.
        sections: fields of sections of ``spec``, by the section's name, where the manifest has that
            section or not; None removes a field.
    """

    store: str | None = None
    namespace: str | None = None
    parallelism: int | None = None
    sections: Sections = field(default_factory=dict)

    def with_sections(self, sections: Sections) -> "Overrides":
        """The same, and these fields."""
        return replace(self, sections=sections)


def open_search(path: Path, overrides: Overrides = Overrides()) -> OpenedSearch:
    """Open the search that a manifest describes; nothing is written.

    Raises:
        UserError: the manifest or the store cannot be used.
    """
    manifest = _overridden(load_manifest(path), overrides, str(path))
    search = _opened(manifest, path, overrides)
    earlier = with_earlier_defaults(manifest)
    if earlier is None or load_search_record(search.store, search.requests.search) is not None:
        return search
    begun = _opened(earlier, path, overrides)
    if load_search_record(begun.store, begun.requests.search) is None:
        return search
    notice = (
        "this search began with an earlier version, and continues with that one's default "
        "search.actions.layerNorm: Sum; state another value to begin a new search"
    )
    return replace(begun, notice="; ".join(filter(None, [begun.notice, notice])))


def _opened(manifest: DetNASSearch, path: Path, overrides: Overrides) -> OpenedSearch:
    spec, metadata = manifest.spec, manifest.metadata
    in_manifest = spec.storage.uri if spec.storage else None
    named = overrides.store or in_manifest
    uid = local_uid(manifest)
    folder = keys.search_folder(metadata.namespace, metadata.name, uid)
    beside = _absolute_path(path.parent)
    store, notice = (open_store(store_uri(named)), "") if named else _default_store(beside, folder)
    existing = _existing_pool(manifest, store)
    requests = SearchRequests(manifest, folder, beside, existing_pool=existing)
    return OpenedSearch(store, requests, uid, _local_folder(store.uri, folder), notice)


def reopen_search(uri: str) -> OpenedSearch:
    """Open the search whose folder is at a URI or a path.

    Raises:
        UserError: there is none.
    """
    uri = store_uri(uri.rstrip("/"))
    record = load_record(open_store(uri), keys.SEARCH_RECORD, SearchRecord)
    if record is None:
        raise UserError(
            f"{uri} holds no search",
            "give a manifest, or the URI of a search's folder such as "
            "file:///…/runs/local/searches/digits-0123abcd",
        )
    metadata = record.manifest.metadata
    folder = keys.search_folder(metadata.namespace, metadata.name, record.uid)
    if not uri.endswith(f"/{folder}"):
        raise UserError(f"{uri} does not end with {folder}", "move the entire store, not a folder")
    store = open_store(uri.removesuffix(f"/{folder}"))
    started_from = Path(record.folder) if record.folder else None
    existing = _existing_pool(record.manifest, store)
    requests = SearchRequests(record.manifest, folder, started_from, existing_pool=existing)
    return OpenedSearch(store, requests, record.uid, _local_folder(store.uri, folder))


def begin(search: OpenedSearch) -> None:
    """Write `search.json`, or update it."""
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
    """Return the URI of a store that is named by a URI or a folder.

    Raises:
        UserError: the folder's name is not UTF-8.
    """
    # "s3:/bucket" is a typing error, never a folder; the store's own error explains it.
    is_uri = ":" in text.split("/", 1)[0]
    return text if is_uri else _absolute_path(Path(text)).as_uri()


def _absolute_path(folder: Path) -> Path:
    """Return the absolute path, without `..`."""
    absolute = folder.absolute()
    try:
        str(absolute).encode()
    except UnicodeEncodeError:
        raise UserError(f"the name of {absolute} is not UTF-8", "rename the folder") from None
    return absolute.resolve() if ".." in absolute.parts else absolute


def _existing_pool(manifest: DetNASSearch, store: Store) -> str | None:
    pool = manifest.spec.teachers.pool
    return None if pool is None else pool_key(pool, store.uri)


def _default_store(folder: Path, search: str) -> tuple[Store, str]:
    """Return the store beside a manifest and a notice, if it is another one.

    A search that an earlier version began in the working directory's store continues there.

    Args:
        folder: of the manifest, absolute.
        search: key of the search's folder.
    """
    beside, here = folder / DEFAULT_STORE, Path.cwd() / DEFAULT_STORE
    usual = open_store(beside.as_uri())
    if here == beside or load_search_record(usual, search) is not None:
        return usual, ""
    earlier = open_store(here.as_uri())
    record = load_search_record(earlier, search)
    if record is None or _belongs_to_another(record.folder, folder):
        return usual, ""
    notice = (
        f"this search began in {here} and continues there; new ones are stored beside their "
        f"manifests. To use it from any directory, move that folder to {beside}, if nothing is "
        "there yet"
    )
    return earlier, notice


def _belongs_to_another(began_with: str, folder: Path) -> bool:
    """Whether it is the search of another copy of the manifest, which still exists."""
    return began_with != str(folder) and Path(began_with).is_dir()


def _overridden(manifest: DetNASSearch, overrides: Overrides, source: str) -> DetNASSearch:
    # Copying validates nothing, so the values go through the models again.
    changed: dict[str, Any] = manifest.model_dump(by_alias=True, exclude_unset=True, mode="json")
    if overrides.namespace is not None:
        changed["metadata"]["namespace"] = overrides.namespace
    if overrides.parallelism is not None:
        changed["spec"].setdefault("search", {})["parallelism"] = overrides.parallelism
    for name, fields in overrides.sections.items():
        section = changed["spec"].setdefault(name, {}) | fields
        changed["spec"][name] = {k: value for k, value in section.items() if value is not None}
    return read_manifest(changed, f"{source}, with the options of the command line,")


def _local_folder(uri: str, folder: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        root = Path(unquote(parts.path)) / RESERVED_FOLDER
    else:
        root = default_cache_folder() / "stores" / settings_digest(uri)[:16]
    return root / "runs" / folder
