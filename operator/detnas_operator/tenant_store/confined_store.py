"""A search's view of its store: its namespace's folders and nothing else.

Jobs can write below their namespace's folders, so that no record there can be trusted: it may name
another tenant's object, and the operator's credentials reach every namespace. Therefore every
access goes through here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detnas.store import StoredObject
from detnas.store.errors import StoreRefused, StoreUnavailable
from detnas.store.s3 import S3Store
from detnas_operator.tenant_store.reachability import Reachability
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS, seconds_left


class ConfinedStore:
    """A store restricted to some folders; a verb on any other key raises ``StoreRefused``.

    Every verb also raises ``StoreUnavailable`` once the pass has used up its time, and at once if
    another search has just waited for the server in vain.

    Args:
        inner: the complete store.
        own: keys of the folders, each with its slash.
        reachability: of the server for these searches.
    """

    def __init__(self, inner: S3Store, own: tuple[str, ...], reachability: Reachability) -> None:
        self.uri = inner.uri
        self._inner = inner
        self._folders = own
        self._reachability = reachability

    def get(self, key: str) -> StoredObject | None:
        """Return the object, or None if there is none."""
        with self._access(key):
            return self._inner.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Write unconditionally."""
        with self._access(key):
            self._inner.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object; equal bytes already there are success."""
        with self._access(key):
            self._inner.put_if_absent(key, data)

    def put_if_match(self, key: str, data: bytes, version: str) -> None:
        """Replace the object read as ``version``."""
        with self._access(key):
            self._inner.put_if_match(key, data, version)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the keys below the folder ``prefix``."""
        with self._access(prefix):
            return self._inner.list(prefix)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the names of the folders right below ``prefix``."""
        with self._access(prefix):
            return self._inner.folders(prefix)

    def copy(self, source: str, target: str) -> None:
        """Write an object's content as another object."""
        with self._access(source, target):
            self._inner.copy(source, target)

    def delete(self, key: str) -> None:
        """Delete the object; an absent one is fine."""
        with self._access(key):
            self._inner.delete(key)

    def delete_some(self, prefix: str) -> int:
        """Delete up to 1000 objects below the folder ``prefix``; return how many there were."""
        with self._access(prefix):
            return self._inner.delete_some(prefix)

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None if there is none."""
        with self._access(key):
            return self._inner.size(key)

    def upload_file(self, key: str, path: Path) -> None:
        """Write a local file's content as an object."""
        with self._access(key):
            self._inner.upload_file(key, path)

    def download_file(self, key: str, path: Path) -> None:
        """Write an object's content to a local file."""
        with self._access(key):
            self._inner.download_file(key, path)

    def probe(self) -> None:
        """Check that the store keeps its promises."""
        with self._access():
            self._inner.probe()

    @contextmanager
    def _access(self, *keys: str) -> Iterator[None]:
        for key in keys:
            self._check(key)
        with self._reachability.request():
            yield

    def _check(self, key: str) -> None:
        # Keys with ".." are refused by every store, so that the prefix decides.
        if not key.startswith(self._folders):
            raise StoreRefused(
                f"a record names {key!r:.200} in {self.uri}, which is not this search's to use",
                f"restore the record: a search uses {' and '.join(self._folders)} only",
            )
        if seconds_left() <= 0:
            problem = f"{self.uri} did not serve a complete pass in {MAX_PASS_SECONDS:.0f} s"
            raise StoreUnavailable(problem, "it continues shortly")
