"""An s3:// URI parsed strictly: no spelling may deceive a comparison of prefixes."""

import re
from dataclasses import dataclass

from detnas.errors import UserError
from detnas.store.base import checked_key
from detnas.store.errors import InvalidKey

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ASIDE = re.compile(r"[?#%\s]")


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and the path segments below it.

    Attributes:
        bucket: its name.
        path: segments of the prefix or key; empty for the entire bucket.
    """

    bucket: str
    path: tuple[str, ...]

    @classmethod
    def parse(cls, uri: str) -> "S3Location":
        """Parse a URI; one trailing slash is allowed and means nothing.

        Raises:
            UserError: it is not a plain ``s3://bucket/prefix``: another scheme, credentials, a
                port, a query, escapes, white space, an empty segment, ``.`` or ``..``.
        """
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        prefix = prefix.removesuffix("/")
        if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket) or _ASIDE.search(prefix):
            raise _refused(uri, "write s3://bucket/prefix, without credentials, port or escapes")
        try:
            return cls(bucket, tuple(checked_key(prefix).split("/")) if prefix else ())
        except InvalidKey as error:
            raise _refused(uri, f"write s3://bucket/prefix: {error.remedy}") from error

    @property
    def uri(self) -> str:
        """The one spelling of this location, without a trailing slash."""
        return "/".join(("s3:/", self.bucket, *self.path))

    def below(self, root: "S3Location") -> tuple[str, ...] | None:
        """Return the segments that lead here from ``root``; None if this lies outside of it."""
        depth = len(root.path)
        if self.bucket != root.bucket or self.path[:depth] != root.path:
            return None
        return self.path[depth:]


def _refused(uri: str, remedy: str) -> UserError:
    shown = f"s3://…@{uri.rpartition('@')[2]}" if "@" in uri else uri
    return UserError(f"{shown!r} is no location in S3", remedy)
