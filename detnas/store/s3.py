"""A store below a prefix of an S3 bucket, on any server with conditional writes."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from detnas.store.base import (
    RESERVED_FOLDER,
    StoredObject,
    checked_key,
    checked_prefix,
    probe_conditional_writes,
)
from detnas.store.durable_files import rename_into_place, temporary_file
from detnas.store.errors import (
    AlreadyExists,
    CorruptRecord,
    NotFound,
    StoreRefused,
    StoreUnavailable,
    VersionConflict,
    os_errors,
)
from detnas.store.s3_client import Client, client_from_environment
from detnas.store.s3_errors import ConcurrentWrite, PreconditionFailed, s3_errors

_CONFLICT_WAITS = (0.05, 0.2, 0.8, 2.0, 5.0)
"""Seconds between the attempts of a conditional write that met another one under way."""

_TRANSFER = TransferConfig(
    multipart_threshold=16 << 20,
    multipart_chunksize=16 << 20,
    max_concurrency=4,
    preferred_transfer_client="classic",  # the other one's threads do not survive a fork
)

_PAGE = 1000
"""Objects that the server lists, or deletes, at once."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a store refuses to take into memory.

    Attributes:
        largest: bytes that an object may have to be read, by its key.
        values: JSON values, roughly, that it may have: three bytes parsed may take 600.
        listed: keys, or folders, that one list may have.
    """

    largest: Callable[[str], int] = lambda _key: sys.maxsize
    values: Callable[[str], int] = lambda _key: sys.maxsize
    listed: int = sys.maxsize - 1


class S3Store:
    """Objects in ``bucket`` whose names start with ``prefix``.

    Args:
        bucket: the bucket's name.
        prefix: a key without a trailing slash, or empty for the entire bucket.
        make_client: returns a boto3 S3 client; called once in every process, since a client
            does not survive a fork.
        sleep: waits between the attempts of a write that met another one under way.
        limits: for a reader that others' objects must not harm.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        make_client: Callable[[], Client] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        limits: ReadLimits = ReadLimits(),
    ) -> None:
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._make_client = make_client or client_from_environment
        self._sleep = sleep
        self._limits = limits
        self._clients: dict[int, Client] = {}

    def get(self, key: str) -> StoredObject | None:
        """Return the object, or None if there is none; its version is its ETag."""
        try:
            with s3_errors(self._uri(key)):
                answer = self._connected().get_object(**self._object(key))
                with closing(answer["Body"]) as body:
                    self._check(key, answer["ContentLength"], self._limits.largest, "bytes")
                    data = body.read()
                values = sum(map(data.count, (b",", b"[", b"{")))
                self._check(key, values, self._limits.values, "values")
                return StoredObject(data, answer["ETag"])
        except NotFound:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write unconditionally."""
        with s3_errors(self._uri(key)):
            self._connected().put_object(**self._object(key), Body=data)

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object, or raise ``AlreadyExists``."""
        try:
            self._put_conditionally(key, data, IfNoneMatch="*")
        except PreconditionFailed as refusal:
            if not self._holds(key, data):
                problem = f"{self._uri(key)} already exists with other content"
                raise AlreadyExists(problem) from refusal

    def put_if_match(self, key: str, data: bytes, version: str) -> None:
        """Replace the object read as ``version``, or raise ``VersionConflict``."""
        try:
            self._put_conditionally(key, data, IfMatch=version)
        except (PreconditionFailed, NotFound) as refusal:
            if not self._holds(key, data):
                problem = f"{self._uri(key)} was changed since it was read"
                raise VersionConflict(problem) from refusal

    def list(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the keys below the folder ``prefix``."""
        start = self._prefix + checked_prefix(prefix)
        with s3_errors(f"{self.uri}/{prefix}"):
            names = self._at_most_listed(self._names(start), f"objects are below {prefix!r}")
        # Sorted here: servers that keep folders list "a/b" before "a-b".
        keys = sorted(name.removeprefix(self._prefix) for name in names)
        return (key for key in keys if key[-1:] != "/" and not key.startswith(RESERVED_FOLDER))

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the names of the folders right below ``prefix``."""
        start = self._prefix + checked_prefix(prefix)
        with s3_errors(f"{self.uri}/{prefix}"):
            paths = self._at_most_listed(self._folder_paths(start), f"folders are in {prefix!r}")
        found = [path.removeprefix(start).rstrip("/") for path in paths]
        return (name for name in sorted(found) if f"{prefix}{name}/" != RESERVED_FOLDER)

    def copy(self, source: str, target: str) -> None:
        """Write an object's content as another object; the server copies it (at most 5 GB)."""
        origin = self._object(source)
        with s3_errors(self._uri(source)):
            self._connected().copy_object(**self._object(target), CopySource=origin)

    def delete(self, key: str) -> None:
        """Delete the object; an absent one is fine."""
        with s3_errors(self._uri(key)):
            self._connected().delete_object(**self._object(key))

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None if there is none."""
        try:
            with s3_errors(self._uri(key)):
                return int(self._connected().head_object(**self._object(key))["ContentLength"])
        except NotFound:
            return None

    def upload_file(self, key: str, path: Path) -> None:
        """Write a local file's content as an object, in parts where it is large."""
        with os_errors(path), path.open("rb") as source, s3_errors(self._uri(key)):
            self._connected().upload_fileobj(
                source, self._bucket, self._prefix + checked_key(key), Config=_TRANSFER
            )

    def download_file(self, key: str, path: Path) -> None:
        """Write an object's content to a local file, which appears complete or not at all."""
        with os_errors(path), temporary_file(path.parent) as file:
            with s3_errors(self._uri(key)):
                self._connected().download_fileobj(
                    self._bucket, self._prefix + checked_key(key), file, Config=_TRANSFER
                )
            rename_into_place(file, path)

    def delete_some(self, prefix: str) -> int:
        """Delete up to 1000 objects below the folder ``prefix``; return how many there were."""
        start = self._prefix + checked_prefix(prefix)
        with s3_errors(f"{self.uri}/{prefix}"):
            names = list(islice(self._names(start), _PAGE))
            if names:
                doomed = {"Objects": [{"Key": name} for name in names], "Quiet": True}
                answer = self._connected().delete_objects(Bucket=self._bucket, Delete=doomed)
                for error in answer.get("Errors", ()):
                    problem = f"s3://{self._bucket}/{error.get('Key')} cannot be deleted"
                    raise StoreRefused(f"{problem} ({error.get('Code')})", "allow it")
        return len(names)

    def probe(self) -> None:
        """Check that the bucket is there and ours, and that create-only is honoured."""
        probe_conditional_writes(self)

    def _names(self, start: str) -> Iterator[str]:
        pages = self._connected().get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=start):
            yield from (entry["Key"] for entry in page.get("Contents", []))

    def _folder_paths(self, start: str) -> Iterator[str]:
        pages = self._connected().get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=start, Delimiter="/"):
            yield from (entry["Prefix"] for entry in page.get("CommonPrefixes", []))

    def _at_most_listed(self, names: Iterator[str], what: str) -> tuple[str, ...]:
        found = tuple(islice(names, self._limits.listed + 1))
        if len(found) > self._limits.listed:
            problem = f"more than {self._limits.listed} {what} of {self.uri}"
            raise StoreRefused(problem, "delete what is not needed")
        return found

    def _check(self, key: str, found: int, limit: Callable[[str], int], what: str) -> None:
        if found > limit(key):
            most = f"what is read here has at most {limit(key)}"
            problem = f"{self._uri(key)} has {found} {what}; {most}"
            raise CorruptRecord(problem, "restore the object: records are never edited")

    def _put_conditionally(self, key: str, data: bytes, **condition: str) -> None:
        for wait in (*_CONFLICT_WAITS, None):
            try:
                with s3_errors(self._uri(key)):
                    self._connected().put_object(**self._object(key), Body=data, **condition)
                return
            except ConcurrentWrite as conflict:
                if wait is None:
                    raise StoreUnavailable(conflict.problem, "try again") from conflict
                self._sleep(wait)

    def _holds(self, key: str, data: bytes) -> bool:
        # The answer to our own earlier attempt may have been lost on the way.
        stored = self.get(key)
        return stored is not None and stored.data == data

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    def _uri(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def _connected(self) -> Client:
        process = os.getpid()
        if process not in self._clients:
            self._clients.setdefault(process, self._make_client())
        return self._clients[process]
