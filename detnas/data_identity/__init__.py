"""Whether a data set is still the one that a search was prepared with."""

from detnas.data_identity.changes import (
    DataChangedError,
    SeenData,
    data_changed,
    data_changes,
    file_change,
)
from detnas.data_identity.listing import list_pictures, load_listing
from detnas.data_identity.stamps import FileStamps, stamps_of

__all__ = [
    "DataChangedError",
    "FileStamps",
    "SeenData",
    "data_changed",
    "data_changes",
    "file_change",
    "list_pictures",
    "load_listing",
    "stamps_of",
]
