"""Where records and weights are stored: one set of verbs, a folder or an S3 bucket below them."""

from detnas.store.base import Store, StoredObject
from detnas.store.opening import open_store

__all__ = ["Store", "StoredObject", "open_store"]
