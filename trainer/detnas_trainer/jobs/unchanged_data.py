"""Whether a job sees the data set that its search was prepared with: when it begins, and later."""

from collections.abc import Sequence
from typing import Any

from detnas.data_identity import (
    FileStamps,
    SeenData,
    data_changed,
    data_changes,
    load_listing,
    stamps_of,
)
from detnas.data_identity.places import Split
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.watcher import Watcher

SINCE = "the search was prepared"


class UnchangedData:
    """Compares a data set with what the request says of it.

    Args:
        job: the data set of its request lies on this machine.
        splits: those that the job reads.
        root: where people know the data set to be, which may not be where the job reads it.
    """

    def __init__(self, job: Job[Any], splits: Sequence[Split], root: str) -> None:
        self._job = job
        self._splits = splits
        self._root = root
        listing = load_listing(job.folder.store, job.request.pictures)
        self._seen = SeenData(job.request.annotations, listing)
        self._stamps: FileStamps = {}

    def check(self) -> None:
        """Compare all of it.

        Raises:
            DataChangedError: it is not the same. Checkpoints are deleted: an attempt that was
                killed may have made them with either data.
        """
        self._stamps = self._look()
        location = self._job.request.data
        watcher = Watcher(self._job, "comparing data")
        with self._job.activity("comparing"):
            changes = data_changes(self._seen, location, self._splits, watcher.told)
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
