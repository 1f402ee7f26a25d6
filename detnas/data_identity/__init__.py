"""Whether a data set is still the one that a search was prepared with."""

from detnas.data_identity.changes import (
    DataChangedError,
    PreparedData,
    data_changed,
    data_changes,
    file_change,
)
from detnas.data_identity.files import FileStamps, stamps_of
from detnas.data_identity.listing import list_images, load_listing

__all__ = [
    "DataChangedError",
    "FileStamps",
    "PreparedData",
    "data_changed",
    "data_changes",
    "file_change",
    "list_images",
    "load_listing",
    "stamps_of",
]
