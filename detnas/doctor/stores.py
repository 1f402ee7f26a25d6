"""Whether the store keeps its promises, and whether data and weights in S3 can be read."""

import secrets
from collections.abc import Iterator

from detnas.errors import UserError
from detnas.findings import Finding, faulty, good, refused
from detnas.spec.manifest import SearchSpec
from detnas.store import Store, open_store
from detnas.store.base import RESERVED_FOLDER
from detnas.store.errors import CreateOnlyNotHonoured

_CONTENT = b"written by detnas doctor, which deletes it\n"


def store_findings(uri: str) -> Iterator[Finding]:
    """Write, read and delete a small object in a store, then try to overwrite one.

    Args:
        uri: of the store's root.
    """
    try:
        store = open_store(uri)
        _write_and_read(store)
    except UserError as error:
        yield refused(f"store {uri}", error)
        return
    yield good(f"store {uri}", "can be written, read and deleted")
    what = f"store {uri} keeps what was created"
    try:
        store.probe()
    except CreateOnlyNotHonoured as error:
        yield refused(what, error)
    except UserError as error:
        yield refused(f"store {uri}", error)
    else:
        yield good(what, "conditional writes are honoured")


def _write_and_read(store: Store) -> None:
    key = f"{RESERVED_FOLDER}doctor-{secrets.token_hex(8)}"
    store.put(key, _CONTENT)
    try:
        stored = store.get(key)
    finally:
        store.delete(key)
    if stored is None or stored.data != _CONTENT:
        raise UserError(
            f"{store.uri}/{key} is not there right after it was written",
            "use a store with read-after-write consistency, as AWS S3, MinIO and SeaweedFS",
        )


def s3_data_findings(spec: SearchSpec) -> Iterator[Finding]:
    """Look for every file in S3 that a manifest names: annotations and weights."""
    dataset, root = spec.dataset, spec.dataset.source.s3
    annotations = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    if root is not None:
        for field, path in annotations.items():
            if path is not None:
                yield _object(f"spec.dataset.{field}", root.rstrip("/"), path)
    for field, address in spec.named_files.items():
        if address.startswith("s3://"):
            folder, _, name = address.rpartition("/")
            yield _object(f"spec.{field}", folder, name)


def _object(field: str, root: str, path: str) -> Finding:
    what = f"{field} {root}/{path}"
    try:
        size = open_store(root).size(path)
    except UserError as error:
        return refused(what, error)
    if size is None:
        return faulty(what, "does not exist", "correct the field, or upload the file")
    return good(what, f"{size:,} bytes")
