"""What tests read back from a store."""

from detnas.store import Store


def content(store: Store, key: str) -> bytes:
    """The bytes of an object, which must be there."""
    stored = store.get(key)
    assert stored is not None, key
    return stored.data
