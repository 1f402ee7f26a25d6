"""An S3 client that reads, writes and lists objects outside the interpreter's lock."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import botocore.session
import obstore
from botocore.exceptions import ClientError, ResponseStreamingError
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from detnas.store.s3_client import Client, Patience, make_client
from detnas_operator.tenant_store.object_stores import ObjectStores

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta, PutResult

_LOG = logging.getLogger(__name__)

_LISTING = "list_objects_v2"
_FAILURES = 5
_PAUSE_SECONDS = 60.0

_PLAIN_KEY = re.compile(r"[A-Za-z0-9._/-]+")
"""Keys whose encoding in a URL is no matter of opinion."""

_PAGE = 1000
"""Objects that a server lists at once."""

Answer = TypeVar("Answer")


def fast_client_from_environment(patience: Patience, connections: int) -> Client:
    """Return the S3 client of the ``AWS_*`` variables, with obstore before it.

    Raises:
        StoreRefused: a variable's value cannot be used.
    """
    session = botocore.session.get_session()
    client = make_client(session, patience, connections)
    return FastClient(client, ObjectStores(session, client, patience).of)


class FastClient:
    """A boto3 client in which obstore makes the first attempt at single objects and short lists.

    For such a request obstore computes a seventh of what boto3 does, most of it outside the
    interpreter's lock. What obstore cannot or fails to do, boto3 does, so that further attempts,
    redirects and errors are boto3's.

    Args:
        client: of boto3.
        store_of: returns obstore's store for a bucket, None if only boto3 can be used.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        client: Client,
        store_of: Callable[[str], S3Store | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store_of = store_of
        self._clock = clock
        self._failures = 0
        self._paused_until = float("-inf")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        """Return the object's ``ContentLength`` and ``ETag``, and its ``Body`` to be read."""
        found = self._first_attempt(Bucket, Key, obstore.get)
        if found is None:
            answer: dict[str, Any] = self._client.get_object(Bucket=Bucket, Key=Key)
            return answer
        meta = found.meta
        return {"Body": Body(found), "ContentLength": meta["size"], "ETag": meta["e_tag"]}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        """Return the object's ``ContentLength``."""
        found = self._first_attempt(Bucket, Key, obstore.head)
        if found is None:
            answer: dict[str, Any] = self._client.head_object(Bucket=Bucket, Key=Key)
            return answer
        return {"ContentLength": found["size"]}

    def put_object(self, Bucket: str, Key: str, Body: bytes, **condition: str) -> None:
        """Write an object, under boto3's condition ``IfNoneMatch="*"``, ``IfMatch`` or none."""

        def put(store: S3Store, key: str) -> "PutResult":
            if "IfMatch" in condition:
                mode: Any = {"e_tag": condition["IfMatch"]}
            else:
                mode = "create" if condition else "overwrite"
            return obstore.put(store, key, Body, mode=mode, use_multipart=False)

        if self._first_attempt(Bucket, Key, put) is None:
            self._client.put_object(Bucket=Bucket, Key=Key, Body=Body, **condition)

    def get_paginator(self, operation: str) -> Any:
        """Return boto3's paginator, or for lists of objects one that asks obstore first."""
        paginator = self._client.get_paginator(operation)
        return Listing(paginator, self._short_list) if operation == _LISTING else paginator

    def _short_list(self, bucket: str, prefix: str) -> list[str] | None:
        """Return all names that begin with a prefix, or None if boto3 shall list them."""

        def first_page(store: S3Store, prefix: str) -> Sequence["ObjectMeta"]:
            return next(obstore.list(store, prefix, chunk_size=_PAGE), ())

        page = self._first_attempt(bucket, prefix, first_page)
        if page is None or len(page) >= _PAGE:
            return None
        names = [one["path"] for one in page]
        # Of a folder's marker, an object of no bytes, obstore has another name than boto3.
        is_plain = all(one["size"] and _PLAIN_KEY.fullmatch(one["path"]) for one in page)
        return names if is_plain else None

    def _first_attempt(
        self, bucket: str, key: str, ask: Callable[[S3Store, str], Answer]
    ) -> Answer | None:
        """Return obstore's answer, or None if boto3 shall ask.

        Raises:
            ClientError: there is no such object.
        """
        if self._clock() < self._paused_until or not _PLAIN_KEY.fullmatch(key):
            return None
        store = self._store_of(bucket)
        if store is None:
            return None
        try:
            answer = ask(store, key)
        except FileNotFoundError as error:
            if _is_without_object(str(error)):
                response = {"Error": {"Code": "NoSuchKey"}}
                raise ClientError(response, ask.__name__) from None
            return None
        except (AlreadyExistsError, PreconditionError):
            return None
        except BaseError as error:
            self._count_failure(error)
            return None
        self._failures = 0
        return answer

    def _count_failure(self, error: BaseError) -> None:
        self._failures += 1
        if self._failures >= _FAILURES:
            self._failures = 0
            self._paused_until = self._clock() + _PAUSE_SECONDS
            reason = str(error).partition("\n")[0]
            _LOG.warning("boto3 alone is used for %.0f s (obstore: %s)", _PAUSE_SECONDS, reason)


def _is_without_object(message: str) -> bool:
    """Whether the server's answer says that the object does not exist, rather than its bucket.

    An answer to HEAD has no words.
    """
    return "<Code>NoSuchKey</Code>" in message or "performing HEAD" in message


@dataclass(frozen=True, slots=True)
class Listing:
    """Pages of a list of objects.

    Attributes:
        paginator: of boto3.
        short_list: returns the names in a bucket that begin with a prefix, None if boto3 shall.
    """

    paginator: Any
    short_list: Callable[[str, str], list[str] | None]

    def paginate(self, Bucket: str, Prefix: str, **further: str) -> Iterable[dict[str, Any]]:
        """Yield pages, each with the ``Key`` of its ``Contents``."""
        names = None if further else self.short_list(Bucket, Prefix)
        if names is not None:
            return [{"Contents": [{"Key": name} for name in names]}]
        pages: Iterable[dict[str, Any]] = self.paginator.paginate(
            Bucket=Bucket, Prefix=Prefix, **further
        )
        return pages


@dataclass(frozen=True, slots=True)
class Body:
    """An object's content that has not been received yet."""

    answer: "GetResult"

    def read(self) -> bytes:
        """Receive the content."""
        try:
            return self.answer.bytes().to_bytes()
        except BaseError as error:
            raise ResponseStreamingError(error=error) from error

    def close(self) -> None:
        """Do nothing: what was not read is not received."""
