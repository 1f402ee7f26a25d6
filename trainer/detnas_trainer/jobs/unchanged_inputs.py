"""Whether data set and weights are those that the search was prepared with."""

from collections.abc import Callable, Sequence
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
from detnas.data_identity.listing import Report
from detnas.errors import UserError
from detnas.records.settings import Split
from detnas.store import open_store
from detnas.store.durable_files import sha256_of
from detnas.store.errors import NotFound, StoreError
from detnas_trainer.jobs.job import Job

SINCE = "the search was prepared"


def check_dataset(job: Job[Any], splits: Sequence[Split], root: str) -> Callable[[], None]:
    """Compare a job's data set with what its request says of it.

    Messages name files below ``root``, where people know the data set to be; the job may read a
    copy.

    Returns:
        A function that compares once more if a file was touched meanwhile.

    Raises:
        DataChangedError: it is not the same; the returned function raises it as well. Checkpoints
            are deleted: a killed attempt may have made them with either data.
    """
    location, listing = job.request.data, load_listing(job.folder.store, job.request.image_listing)
    prepared = PreparedData(job.request.annotations, listing)

    def stamps() -> FileStamps:
        return stamps_of(prepared.files(location, splits))

    def compare(report: Report) -> None:
        if changes := data_changes(prepared, location, splits, report):
            job.checkpoints.discard()
            raise data_changed([one.replace(location.root, root) for one in changes], SINCE)

    def check_again() -> None:
        if stamps() != before:
            compare(lambda done, total: None)

    before = stamps()
    with job.activity("comparing"):
        compare(job.file_progress("comparing data"))
    return check_again


def weights_digest(weights: str | None, scratch: Path) -> str:
    """Return the SHA-256 of a checkpoint; empty if there is none.

    One that is missing or cannot be used is refused by the base job, whose message is better.

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
    except UserError:  # not the address of a store
        return ""
    return sha256_of(copy)


def check_weights(path: Path, expected: str | None, name: str) -> None:
    """Check that a checkpoint is the one that the search was prepared with.

    Raises:
        DataChangedError: it differs.
    """
    if expected and file_change(path, expected):
        raise data_changed([f"{name} has changed"], SINCE)
