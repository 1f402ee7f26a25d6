"""Where records and weights are stored: one protocol for a folder and for an S3 bucket."""

from detnas.store.base import Store, StoredObject
from detnas.store.opening import open_store

__all__ = ["Store", "StoredObject", "open_store"]
