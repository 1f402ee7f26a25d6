"""Whether the checkpoint that a base starts from is the one that its search was prepared with."""

from pathlib import Path

from detnas.data_identity import data_changed, file_change
from detnas.errors import UserError
from detnas.store import open_store
from detnas.store.durable_files import sha256_of
from detnas.store.errors import NotFound, StoreError
from detnas_trainer.jobs.unchanged_data import SINCE


def weights_digest(weights: str | None, scratch: Path) -> str:
    """Return the SHA-256 of a checkpoint; nothing where there is none.

    One that is missing or cannot be used is refused by the base job, which says so better.

    Args:
        weights: path or URI.
        scratch: folder for a copy of what lies in a store.

    Raises:
        StoreError: the store does not serve it.
    """
    if weights is None:
        return ""
    if "://" not in weights:
        return sha256_of(Path(weights)) if Path(weights).is_file() else ""
    folder, _, name = weights.rpartition("/")
    copy = scratch / f"weights-{name}"
    try:
        open_store(folder).download_file(name, copy)
    except NotFound:
        return ""
    except StoreError:
        raise
    except UserError:  # no address of a store
        return ""
    return sha256_of(copy)


def check_weights(path: Path, expected: str | None, name: str) -> None:
    """See that a checkpoint is the one that the search was prepared with.

    Args:
        path: of the file.
        expected: its SHA-256, if it is known.
        name: what people call it.

    Raises:
        DataChangedError: it is another.
    """
    if expected and file_change(path, expected):
        raise data_changed([f"base.weights {name} has changed"], SINCE)
