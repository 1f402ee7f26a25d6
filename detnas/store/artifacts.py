"""Files and records in the store: files named by their content, records as canonical JSON."""

import contextlib
import tempfile
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from detnas.records.artifacts import Artifact
from detnas.store.base import Store
from detnas.store.cache import ArtifactCache
from detnas.store.durable_files import sha256_of
from detnas.store.errors import AlreadyExists, CorruptRecord, os_errors
from detnas.store.record_format import decode_record, encode_record

Record = TypeVar("Record", bound=BaseModel)


def publish_file(store: Store, folder: str, path: Path, suffix: str) -> Artifact:
    """Store a file under the digest of its content, and return its artifact.

    Attempts that made the same file share it; others never conflict.
    """
    with os_errors(path):
        digest, size = sha256_of(path), path.stat().st_size
    key = f"{folder}/{digest}.{suffix}"
    if store.size(key) != size:
        store.upload_file(key, path)
    return Artifact(key=key, size=size, sha256=digest)


def fetch_artifact(store: Store, artifact: Artifact, cache: Path | None = None) -> Path:
    """Return a local file with the artifact's content, verified by size and SHA-256.

    Args:
        store: where it is stored.
        artifact: what a record says of it.
        cache: folder of the files this machine has fetched before; by default
            ``$DETNAS_CACHE``, else ``~/.cache/detnas``. The file returned belongs to it: read
            it soon, never change it.

    Raises:
        NotFound: the store has no such object.
        CorruptArtifact: the object's content is another; it is not kept.
    """
    return ArtifactCache(cache).fetch(store, artifact)


def load_record(store: Store, key: str, model: type[Record]) -> Record | None:
    """Return the record under ``key``, or None if there is none.

    Raises:
        CorruptRecord: what is stored there is not such a record.
    """
    stored = store.get(key)
    return None if stored is None else decode_record(stored.data, f"{store.uri}/{key}", model)


def create_record(store: Store, key: str, record: BaseModel) -> None:
    """Create a record; an equal one already there is success.

    Records are equal if they mean the same, whichever version wrote them.

    Raises:
        AlreadyExists: another record is there; it stays.
    """
    data = encode_record(record)
    try:
        store.put_if_absent(key, data)
    except AlreadyExists:
        if not _holds_equal(store, key, record, data):
            raise


def _holds_equal(store: Store, key: str, record: BaseModel, data: bytes) -> bool:
    with contextlib.suppress(CorruptRecord):
        stored = load_record(store, key, type(record))
        return stored is not None and encode_record(stored) == data
    return False


def replace_record(store: Store, key: str, record: BaseModel, version: str) -> None:
    """Replace the record that was read as ``version``.

    Raises:
        VersionConflict: it was changed since; it stays as it is.
    """
    store.put_if_match(key, encode_record(record), version)


def put_record(store: Store, key: str, record: BaseModel) -> None:
    """Write a record that has a single writer, such as an attempt's progress."""
    store.put(key, encode_record(record))


def copy_between(source: Store, key: str, target: Store, artifact: Artifact) -> None:
    """Copy an object to where an artifact says, unless it is there.

    Raises:
        NotFound: there is no such object.
    """
    if target.size(artifact.key) == artifact.size:
        return
    if source.uri == target.uri:
        target.copy(key, artifact.key)
        return
    with tempfile.TemporaryDirectory(prefix="detnas-") as folder:
        path = Path(folder) / "object"
        source.download_file(key, path)
        target.upload_file(artifact.key, path)
