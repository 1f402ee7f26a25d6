"""From a URI to the store it names."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from detnas.errors import UserError
from detnas.store.base import Store, checked_key
from detnas.store.directory import DirectoryStore
from detnas.store.errors import InvalidKey


def open_store(uri: str) -> Store:
    """Return the store whose root is ``uri``; nothing is read or written yet.

    Args:
        uri: ``file:///folder`` or ``s3://bucket/prefix``. An S3 server's endpoint, region and
            credentials come from the ``AWS_*`` variables, never from the URI.

    Raises:
        UserError: the URI is neither.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return DirectoryStore(_folder(uri, parts))
    if parts.scheme == "s3":
        bucket, prefix = _bucket_and_prefix(uri, parts)
        from detnas.store.s3 import S3Store  # boto3 takes a while to import

        return S3Store(bucket, prefix)
    folder = Path(uri).absolute().as_uri() if uri and not parts.scheme else "file:///folder"
    raise UserError(f"store {uri!r} is not a store's URI", f"write {folder} or s3://bucket/prefix")


def _folder(uri: str, parts: SplitResult) -> Path:
    folder = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise UserError(f"store {uri!r} names no local folder", "write file:///absolute/folder")
    if not folder.is_absolute() or ".." in folder.parts or folder == Path("/"):
        raise UserError(f"store {uri!r} must name one folder", "write file:///absolute/folder")
    return folder


def _bucket_and_prefix(uri: str, parts: SplitResult) -> tuple[str, str]:
    credentials, _, bucket = parts.netloc.rpartition("@")
    prefix = parts.path.strip("/")
    if credentials or not bucket or parts.query or parts.fragment:
        shown = f"s3://…@{bucket}{parts.path}" if credentials else uri
        problem = f"store {shown!r} is not of the form s3://bucket/prefix"
        raise UserError(problem, "credentials and endpoint belong in the AWS_* variables")
    try:
        return bucket, checked_key(prefix) if prefix else ""
    except InvalidKey as error:
        raise UserError(f"store {uri!r} cannot be used", error.remedy) from error
