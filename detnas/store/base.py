"""The protocol of stores, and a probe of what it promises."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from detnas.store.errors import AlreadyExists, CreateOnlyNotHonoured, InvalidKey, VersionConflict

RESERVED_FOLDER = ".detnas/"
"""What a store keeps for itself below its root; never listed."""

_MAX_KEY_BYTES = 900
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes, and the version that ``put_if_match`` takes."""

    data: bytes
    version: str


class Store(Protocol):
    """Objects under one root, named by keys such as ``local/pools/3f/claim.json``.

    Every write is complete or absent, whichever process dies. All verbs raise ``StoreRefused``,
    ``StoreUnavailable`` or ``StoreFull`` where the store cannot serve them.
    A key never names both an object and a folder.
    """

    uri: str
    """The root, without a trailing slash: ``s3://bucket/prefix`` or ``file:///folder``."""

    def get(self, key: str) -> StoredObject | None:
        """Return the object, or None if there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Write unconditionally: only for what has a single writer (progress, logs)."""

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object; equal bytes already there are success.

        Raises:
            AlreadyExists: other bytes are there; they stay.
        """

    def put_if_match(self, key: str, data: bytes, version: str) -> None:
        """Replace the object read as ``version``; equal bytes already there are success.

        Raises:
            VersionConflict: the object was changed or deleted since; it stays as it is.
        """

    def list(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the keys below the folder ``prefix`` (``"a/b/"``, or ``""`` for all)."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the names of the folders right below ``prefix``, which is as above.

        What is in them is not listed: a folder of many objects costs no more than another. One
        whose last object was deleted may still be named.
        """

    def copy(self, source: str, target: str) -> None:
        """Write an object's content as another object; in S3 it never leaves the server.

        Raises:
            NotFound: there is no such object.
        """

    def delete(self, key: str) -> None:
        """Delete the object; an absent one is fine."""

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None if there is none."""

    def upload_file(self, key: str, path: Path) -> None:
        """Write a local file's content as an object, streaming."""

    def download_file(self, key: str, path: Path) -> None:
        """Write an object's content to a local file, which appears complete or not at all.

        Raises:
            NotFound: there is no such object.
        """

    def probe(self) -> None:
        """Check, before anything depends on it, that the store keeps its promises.

        Raises:
            StoreRefused: it cannot be reached with these credentials or permissions.
            CreateOnlyNotHonoured: it let a create or a conditional write overwrite an object.
        """


def checked_key(key: str) -> str:
    """Return ``key``; raise ``InvalidKey`` unless it names an object below any root."""
    names = key.split("/")
    if any(name in ("", ".", "..") for name in names):
        raise _invalid(key, "a key is a relative path without empty, '.' or '..' parts")
    if not key.isprintable() or "\\" in key:
        raise _invalid(key, "a key has printable characters and no backslash")
    if len(key.encode()) > _MAX_KEY_BYTES or max(len(n.encode()) for n in names) > _MAX_NAME_BYTES:
        raise _invalid(key, f"a key has at most {_MAX_KEY_BYTES} bytes, {_MAX_NAME_BYTES} a name")
    return key


def checked_prefix(prefix: str) -> str:
    """Return ``prefix``; raise ``InvalidKey`` unless it is empty or a folder ending in a slash."""
    if prefix:
        checked_key(prefix.removesuffix("/"))
        if not prefix.endswith("/"):
            raise _invalid(prefix, "a folder to list ends in '/'")
    return prefix


def _invalid(key: str, rule: str) -> InvalidKey:
    return InvalidKey(f"store key {key!r} is not allowed", rule)


PROBE_KEY = f"{RESERVED_FOLDER}probe"

_FIRST = b"made by detnas, to see whether this store keeps what was created\n"
_NO_VERSION = '"00000000000000000000000000000000"'
_REMEDY = (
    "results could be lost there: use a folder, or a server that honours If-None-Match and "
    "If-Match on PUT, as AWS S3, MinIO and SeaweedFS do"
)


def probe_conditional_writes(store: Store) -> None:
    """Create one small object, which stays, and try to overwrite it in both forbidden ways.

    Raises:
        CreateOnlyNotHonoured: a second create, or a write for a wrong version, succeeded.
    """
    other = secrets.token_hex(16).encode()  # unlike what any earlier probe left there
    with contextlib.suppress(AlreadyExists):
        store.put_if_absent(PROBE_KEY, _FIRST)
    with contextlib.suppress(AlreadyExists):
        store.put_if_absent(PROBE_KEY, other)
        raise CreateOnlyNotHonoured(f"{store.uri} let a second create overwrite the first", _REMEDY)
    with contextlib.suppress(VersionConflict):
        store.put_if_match(PROBE_KEY, other, _NO_VERSION)
        problem = f"{store.uri} let a write for an outdated version through"
        raise CreateOnlyNotHonoured(problem, _REMEDY)
