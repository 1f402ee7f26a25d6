"""Whether dataset and weights are those that the search was prepared with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detnas.data_identity import (
    FileStamps,
    PreparedData,
    data_changed,
    data_changes,
    file_change,
    load_listing,
    stamps_of,
)
from detnas.data_identity.files import Split
from detnas.errors import UserError
from detnas.store import open_store
from detnas.store.durable_files import sha256_of
from detnas.store.errors import NotFound, StoreError
from detnas_trainer.jobs.job import Job

SINCE = "the search was prepared"


class UnchangedData:
    """Compares a data set with what the request says of it.

    Args:
        job: the data set of its request is on this machine.
        splits: those that the job reads.
        root: where people know the data set to be, which may not be where the job reads it.
    """

    def __init__(self, job: Job[Any], splits: Sequence[Split], root: str) -> None:
        self._job = job
        self._splits = splits
        self._root = root
        listing = load_listing(job.folder.store, job.request.pictures)
        self._seen = PreparedData(job.request.annotations, listing)
        self._stamps: FileStamps = {}

    def check(self) -> None:
        """Compare all of it.

        Raises:
            DataChangedError: it is not the same. Checkpoints are deleted: an attempt that was
                killed may have made them with either data.
        """
        self._stamps = self._look()
        location = self._job.request.data
        report = self._job.file_progress("comparing data")
        with self._job.activity("comparing"):
            changes = data_changes(self._seen, location, self._splits, report)
        if changes:
            self._job.checkpoints.discard()
            raise data_changed([one.replace(location.root, self._root) for one in changes], SINCE)

    def check_again(self) -> None:
        """Compare it once more if a file was touched meanwhile.

        Raises:
            DataChangedError: it is not the same any more. Checkpoints may have been made with
                either data, so they are deleted.
        """
        if self._look() == self._stamps:
            return
        location = self._job.request.data
        if changes := data_changes(self._seen, location, self._splits):
            self._job.checkpoints.discard()
            shown = [one.replace(location.root, self._root) for one in changes]
            raise data_changed(shown, SINCE)

    def _look(self) -> FileStamps:
        return stamps_of(self._seen.files(self._job.request.data, self._splits))


def weights_digest(weights: str | None, scratch: Path) -> str:
    """Return the SHA-256 of a checkpoint; empty if there is none.

    One that is missing or cannot be used is refused by the base job, which says so better.

    Args:
        weights: path or URI.
        scratch: folder for a copy of what is in a store.

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
