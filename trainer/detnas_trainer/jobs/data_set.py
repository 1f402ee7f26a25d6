"""A job's data set on this machine, wherever the request says it lies."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from detnas.records.progress import Progress
from detnas.store import open_store
from detnas.store.cache import default_cache_folder
from detnas_trainer.data.annotations import DataError
from detnas_trainer.data.fetching import DataFetcher, Split, folder_of, lies_in_store
from detnas_trainer.jobs.job import Job, log

BOTH: tuple[Split, ...] = ("train", "val")


def bring_data(job: Job[Any], splits: Sequence[Split] = BOTH) -> list[str]:
    """Fetch the data set from its store, if it lies in one; the request then names the copy.

    Returns:
        The images that the annotations list and the store does not have.

    Raises:
        DataError: annotations are missing, or name a file that is not allowed.
        StoreError: the store does not serve them.
        Interrupted: the process was asked to stop; what has arrived stays for the next attempt.
    """
    location = job.request.data
    if not lies_in_store(location):
        return []
    folder = folder_of(location, default_cache_folder())
    known = dict(zip(BOTH, getattr(job.request, "annotations", ()), strict=False))
    with job.activity("fetching"):
        fetcher = DataFetcher(open_store(location.root), location, folder, _Watcher(job).told)
        missing = fetcher.fetch(splits, known)
    log.info("data set %s is in %s", location.root, folder)
    here = job.request.model_copy(
        update={"data": location.model_copy(update={"root": str(folder)})}
    )
    job.folder = replace(job.folder, request=here)
    return missing


def bring_whole_data(job: Job[Any], splits: Sequence[Split] = BOTH) -> None:
    """The same, where nothing may be missing.

    Raises:
        DataError: also for a missing image.
    """
    root = job.request.data.root
    if missing := bring_data(job, splits):
        raise DataError(
            f"{len(missing)} annotated images are gone since the search was prepared, "
            f"first {root}/{missing[0]}",
            "restore the files",
        )


class _Watcher:
    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._start = job.clock()

    def told(self, done: int, total: int) -> None:
        job = self._job
        job.interruption.check()
        now = datetime.now(UTC)
        progress = Progress(activity="fetching data", done=done, total=total, updated=now)
        seconds = job.clock() - self._start
        details = {"files_per_second": round(done / seconds)} if done and seconds else {}
        job.report(progress, **details)
