"""Where searches may be stored in S3: below the allowed roots, each namespace in its own folder."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from detnas.errors import UserError
from detnas.reasons import Reason, ReasonCode
from detnas.resource.transitions import APPLIED_AGAIN
from detnas.schema import Schema
from detnas.store.base import checked_key
from detnas.store.errors import InvalidKey
from detnas_operator.configuration.forms import OptionalName, matching

POOLS = "pools"
SEARCHES = "searches"
SHARED = "shared"
"""Takes the namespace's place in the key of a pool that all namespaces share."""

_POOL = (ReasonCode.POOL_INVALID, ReasonCode.POOL_FORBIDDEN)
_WARM_START = (ReasonCode.WARM_START_INVALID, ReasonCode.WARM_START_FORBIDDEN)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_UNSAFE = re.compile(r"[?#%\s]")


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
        if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket) or _UNSAFE.search(prefix):
            raise _bad_location(
                uri, "write s3://bucket/prefix, without credentials, port or escapes"
            )
        try:
            return cls(bucket, tuple(checked_key(prefix).split("/")) if prefix else ())
        except InvalidKey as error:
            raise _bad_location(uri, f"write s3://bucket/prefix: {error.remedy}") from error

    @property
    def uri(self) -> str:
        """The canonical URI of this location, without a trailing slash."""
        return "/".join(("s3:/", self.bucket, *self.path))

    def below(self, root: "S3Location") -> tuple[str, ...] | None:
        """Return the segments that lead here from ``root``; None if this lies outside of it."""
        depth = len(root.path)
        if self.bucket != root.bucket or self.path[:depth] != root.path:
            return None
        return self.path[depth:]


def _bad_location(uri: str, remedy: str) -> UserError:
    shown = f"s3://…@{uri.rpartition('@')[2]}" if "@" in uri else uri
    return UserError(f"{shown!r} is no location in S3", remedy)


class CaBundle(Schema):
    """Where the S3 server's certificates are stored, in each namespace.

    Attributes:
        config_map: name of a ConfigMap; empty if a Secret has them.
        secret: name of a Secret; empty if a ConfigMap has them.
        key: in one of these.
    """

    config_map: OptionalName = ""
    secret: OptionalName = ""
    key: Annotated[str, matching(r"[-._A-Za-z0-9]{1,253}", "write a key such as ca.crt")] = "ca.crt"

    @model_validator(mode="after")
    def _one_of_them(self) -> "CaBundle":
        if self.config_map and self.secret:
            raise ValueError("caBundle: give either configMap or secret, not both")
        return self


class StorageSettings(Schema):
    """Where searches may store weights and results.

    Attributes:
        endpoint: of the S3 server; empty for that of AWS.
        region: of the buckets.
        allowed: roots of stores, below which each namespace has a folder of its own.
        default: location of searches that name none; empty if each must.
        shared_pools: teacher pools are shared between namespaces.
        ca_bundle: certificates beside those of the image.
    """

    endpoint: Annotated[
        str, matching(r"(https?://\S+)?", "write https://host:port, or nothing for AWS")
    ] = ""
    region: Annotated[str, Field(min_length=1, max_length=64)] = "us-east-1"
    allowed: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]
    default: str = ""
    shared_pools: bool = False
    ca_bundle: CaBundle = CaBundle()

    @field_validator("allowed")
    @classmethod
    def _are_locations(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(S3Location.parse(uri).uri for uri in value)

    @model_validator(mode="after")
    def _default_is_allowed(self) -> "StorageSettings":
        if self.default:
            location = S3Location.parse(self.default)
            if all(location.below(root) is None for root in self.roots):
                listed = ", ".join(self.allowed)
                raise ValueError(f"default {self.default!r} is at or below none of {listed}")
        return self

    @property
    def roots(self) -> tuple[S3Location, ...]:
        """The allowed locations, parsed."""
        return tuple(S3Location.parse(uri) for uri in self.allowed)


def store_root(uri: str | None, settings: StorageSettings, namespace: str) -> str | Reason:
    """Return the URI of the store's root for a search.

    Args:
        uri: its ``spec.storage.uri``; None or empty if it names none.
        settings: where searches may store their data.
        namespace: of the search.
    """
    if not uri:
        if settings.default:
            return S3Location.parse(settings.default).uri
        return Reason(
            ReasonCode.STORAGE_MISSING, f"spec.storage.uri is missing; {_name(_allowed(settings))}"
        )
    try:
        location = S3Location.parse(uri)
    except UserError as error:
        return Reason(ReasonCode.STORAGE_INVALID, f"spec.storage.uri: {error}, {APPLIED_AGAIN}")
    roots = [*settings.roots, *map(S3Location.parse, filter(None, [settings.default]))]
    if any(_may_be_root(location.below(root), namespace) for root in roots):
        return location.uri
    problem = f"spec.storage.uri: {uri!r} is not allowed in namespace {namespace}"
    return Reason(
        ReasonCode.STORAGE_FORBIDDEN, f"{problem}; {_name(_allowed(settings) + _own(namespace))}"
    )


def pool_key(uri: str, root: str, namespace: str, *, shared: bool) -> str | Reason:
    """Return the store's key of the pool that ``spec.teachers.pool`` names.

    Args:
        uri: of the pool's folder.
        root: URI of the search's store.
        namespace: of the search.
        shared: pools are shared between namespaces; then a shared one may be named as well.
    """
    folders = [(namespace, POOLS), *([(SHARED, POOLS)] if shared else [])]
    return _child(uri, "spec.teachers.pool", _POOL, S3Location.parse(root), folders)


def search_key(uri: str, root: str, namespace: str) -> str | Reason:
    """Return the store's key of the search that ``spec.warmStart.from`` names by URI.

    Args:
        uri: of the search's folder.
        root: URI of the new search's store.
        namespace: of the new search; another namespace's searches are not read.
    """
    folders = [(namespace, SEARCHES)]
    return _child(uri, "spec.warmStart.from", _WARM_START, S3Location.parse(root), folders)


def pools_namespace(namespace: str, *, shared: bool) -> str:
    """Return the first part of the key of a search's pool."""
    return SHARED if shared else namespace


def _may_be_root(path: tuple[str, ...] | None, namespace: str) -> bool:
    """Whether this path below an allowed root may be the root of a search's store.

    A search writes ``<namespace>/searches``, ``<namespace>/pools`` and the probe below its root.
    Below an allowed root every first part may be the folder of an existing or a future namespace;
    so only the search's own may contain another root, and not within its searches or pools.
    """
    if path is None:
        return False
    return not path or (path[0] == namespace and not {POOLS, SEARCHES} & set(path))


def _child(
    uri: str,
    field: str,
    reasons: tuple[ReasonCode, ReasonCode],
    root: S3Location,
    folders: list[tuple[str, str]],
) -> str | Reason:
    invalid, forbidden = reasons
    try:
        path = S3Location.parse(uri).below(root)
    except UserError as error:
        return Reason(invalid, f"{field}: {error}, {APPLIED_AGAIN}")
    if path is not None and len(path) == 3 and path[:2] in folders:
        return "/".join(path)
    right = " or ".join(f"{root.uri}/{'/'.join(folder)}/NAME" for folder in folders)
    return Reason(forbidden, f"{field}: {uri!r} is not allowed here; {_name(right)}")


def _name(right: str) -> str:
    return f"name {right}, {APPLIED_AGAIN}"


def _allowed(settings: StorageSettings) -> str:
    return " or ".join(settings.allowed)


def _own(namespace: str) -> str:
    if namespace in (POOLS, SEARCHES):
        return ""
    return f"; or a folder {namespace} right there or below it, none of them searches or pools"
