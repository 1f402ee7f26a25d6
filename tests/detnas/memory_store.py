"""A store in memory, for tests of what is kept rather than of how."""

from collections.abc import Iterator
from pathlib import Path

from detnas.store import StoredObject
from detnas.store.errors import AlreadyExists, NotFound


class MemoryStore:
    """As many of a store's verbs as records need."""

    uri = "memory://"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, key: str) -> StoredObject | None:
        data = self.objects.get(key)
        return None if data is None else StoredObject(data, "1")

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def put_if_absent(self, key: str, data: bytes) -> None:
        if self.objects.setdefault(key, data) != data:
            raise AlreadyExists(f"{key} is there")

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))

    def folders(self, prefix: str) -> Iterator[str]:
        below = (key.removeprefix(prefix) for key in self.objects if key.startswith(prefix))
        yield from sorted({key.split("/")[0] for key in below if "/" in key})

    def copy(self, source: str, target: str) -> None:
        if source not in self.objects:
            raise NotFound(f"{source} does not exist")
        self.objects[target] = self.objects[source]

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def size(self, key: str) -> int | None:
        data = self.objects.get(key)
        return None if data is None else len(data)

    def put_if_match(self, key: str, data: bytes, version: str) -> None:
        raise NotImplementedError

    def upload_file(self, key: str, path: Path) -> None:
        raise NotImplementedError

    def download_file(self, key: str, path: Path) -> None:
        raise NotImplementedError

    def probe(self) -> None:
        raise NotImplementedError


class Died(BaseException):
    """The process died at this write."""


class DyingStore(MemoryStore):
    """The objects of another store, until so many were created."""

    def __init__(self, store: MemoryStore, writes: int) -> None:
        super().__init__()
        self.objects = store.objects
        self.writes = writes

    def put_if_absent(self, key: str, data: bytes) -> None:
        if self.writes == 0:
            raise Died
        self.writes -= 1
        super().put_if_absent(key, data)
