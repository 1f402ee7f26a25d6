"""Errors of stores, each with what to do; the only module that interprets ``OSError``."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detnas.errors import UserError


class StoreError(UserError):
    """A store could not do what it was asked to."""


class InvalidKey(StoreError):
    """A key that could escape the store's root, or that some store could not hold."""


class NotFound(StoreError):
    """An object that was requested does not exist."""


class AlreadyExists(StoreError):
    """A create-only write met an object with other content, which stays."""


class VersionConflict(StoreError):
    """A conditional write met an object that was changed or deleted since it was read."""


class StoreRefused(StoreError):
    """The store refuses us: credentials, permissions, or a bucket that does not exist."""


class WrongCredentials(StoreRefused):
    """There are no keys, or the server does not know them, or they may not do this."""


class WrongRegion(StoreRefused):
    """The bucket is in another region than the one that was asked."""


class StoreUnavailable(StoreError):
    """The store does not answer, or fails; trying again later may succeed."""


class StoreUnreachable(StoreUnavailable):
    """No answer came at all; what was requested may or may not have been done."""


class UntrustedServer(StoreRefused):
    """The server's certificate is not signed by anyone that this process trusts."""


class StoreFull(StoreUnavailable):
    """No space is left; nothing was written, what was there stays."""


class CreateOnlyNotHonoured(StoreError):
    """The store overwrites what it should only create, so results could be lost."""


class CorruptArtifact(StoreError):
    """An object's content is not what its record says it is."""


class CorruptRecord(StoreError):
    """A stored record cannot be read as what it should be."""


class NewerRecord(CorruptRecord):
    """A stored record is complete, but of a format that only later versions know."""


class MissingRecord(CorruptRecord):
    """A record that was there, and that others build on, is gone."""

    def __init__(self, root: str, key: str) -> None:
        super().__init__(
            f"{root}/{key} is gone, and later work builds on it",
            "restore the object: finished records are never deleted",
        )


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    errno.EACCES: "give this user the right to write there, or choose another folder",
    errno.EPERM: "give this user the right to write there, or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.ENOTDIR: "a key names an object or a folder, never both",
    errno.EISDIR: "a key names an object or a folder, never both",
    errno.EXDEV: "keep the entire store on one file system",
}
_NO_LINKS = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


@contextmanager
def os_errors(place: Path) -> Iterator[None]:
    """Raise every ``OSError`` of the block as the ``StoreError`` that says what to do.

    Args:
        place: the path meant where the error itself names none.
    """
    try:
        yield
    except OSError as error:
        raise from_os_error(error, place) from error


def from_os_error(error: OSError, place: Path) -> StoreError:
    """Return the ``StoreError`` for a failed operation on a local path."""
    path = error.filename or place
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        problem = f"no space left to write {place} ({reason})"
        return StoreFull(problem, f"free space on the disk of {place.parent} and start again")
    if error.errno in _REFUSED:
        return StoreRefused(f"cannot use {path} ({reason})", _REFUSED[error.errno])
    if error.errno in _NO_LINKS:
        remedy = "choose a local or NFS folder, or an S3 store"
        return CreateOnlyNotHonoured(f"the file system of {place} has no hard links", remedy)
    if error.errno == errno.ENOENT:
        return NotFound(f"{path} does not exist")
    return StoreUnavailable(f"could not use {path} ({reason})", "check the disk and try again")
