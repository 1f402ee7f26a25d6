"""Whether a store honours create-only and conditional writes, found out before it matters."""

import contextlib
import secrets

from detnas.store.base import RESERVED_FOLDER, Store
from detnas.store.errors import AlreadyExists, CreateOnlyNotHonoured, VersionConflict

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
