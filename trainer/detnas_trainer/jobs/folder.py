"""A job's folders: its own in the store, and a local one for files in transit."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from detnas.errors import UserError
from detnas.records import keys
from detnas.records.requests import Request
from detnas.records.results import AnyResult, Attempt, Outcome, Result
from detnas.records.verbs import REQUEST_KINDS, Verb
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record
from detnas.store.errors import AlreadyExists, CorruptRecord, NewerRecord
from detnas.store.record_format import decode_record

R = TypeVar("R")

_NOT_BY_HAND = "requests are written by detnas, not by hand"


class RequestError(UserError):
    """The URI names no job, or one of another kind."""


@dataclass(frozen=True)
class JobFolder(Generic[R]):
    """A job's folder in the store, with its request."""

    store: Store
    key: str
    request: R

    def outcome(self) -> Outcome | None:
        """How the job ended, if it has: then there is nothing left to do."""
        stored = self.store.get(keys.result_key(self.key))
        if stored is None:
            return None
        result: Result = decode_record(
            stored.data, f"{self.store.uri}/{keys.result_key(self.key)}", AnyResult
        )
        return result.outcome

    def claim_attempt(self, resumed_at: int, now: Callable[[], datetime]) -> Attempt:
        """Take the next number that no process has taken."""
        listed = self.store.list(f"{keys.attempts_folder(self.key)}/")
        number = 1 + max(keys.attempt_files(self.key, listed), default=0)
        while True:
            attempt = Attempt(number=number, started=now(), resumed_at=resumed_at)
            try:
                create_record(self.store, keys.attempt_key(self.key, number), attempt)
            except AlreadyExists:
                number += 1
            else:
                return attempt


def open_folder(verb: str, uri: str) -> JobFolder[Request]:
    """Read the request of the job at a URI.

    Raises:
        RequestError: there is no request, it cannot be read, it is of a later version, or it is
            another verb's.
        StoreError: the store cannot be reached.
    """
    if verb not in REQUEST_KINDS:
        raise RequestError(f"verb {verb!r} is unknown", f"use one of {', '.join(Verb)}")
    uri = uri.rstrip("/")
    stored = open_store(uri).get(keys.REQUEST)
    if stored is None:
        raise RequestError(f"{uri} holds no {keys.REQUEST}", "give the URI of a job's own folder")
    request = _parsed(stored.data, keys.request_key(uri))
    kind = REQUEST_KINDS[Verb(verb)]
    if request.kind != kind:
        fitting = next(name for name, kind in REQUEST_KINDS.items() if kind == request.kind)
        raise RequestError(
            f"{uri} asks for {request.kind}, not for {kind}",
            f"run: detnas-trainer {fitting} {uri}",
        )
    if not uri.endswith(f"/{request.key}"):
        raise RequestError(
            f"{keys.request_key(uri)}: key is {request.key!r}, which the URI does not end with",
            "a job's folder is under its key; move the entire store, not the folder",
        )
    return JobFolder(open_store(uri.removesuffix(f"/{request.key}")), request.key, request)


def _parsed(data: bytes, uri: str) -> Request:
    try:
        request: Request = decode_record(data, uri, Request)
    except CorruptRecord as error:
        remedy = error.remedy if isinstance(error, NewerRecord) else _NOT_BY_HAND
        raise RequestError(error.problem, remedy) from error
    return request


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that is deleted afterwards; delete those of dead processes.

    Its owner holds a lock on it, which the system releases when the process ends, however it ends.

    Args:
        parent: where to make it; by default a folder of this user's in the system's temporary one.
    """
    parent = parent or Path(tempfile.gettempdir()) / f"detnas-{os.getuid()}"
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in parent.iterdir():
        with contextlib.suppress(OSError):
            _remove_if_abandoned(entry)
    handle, folder = _locked_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _locked_folder(parent: Path) -> tuple[int, Path]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent))
        with contextlib.suppress(FileNotFoundError):  # removed as abandoned before we had locked it
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists():
                return handle, folder
            os.close(handle)


def _remove_if_abandoned(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
