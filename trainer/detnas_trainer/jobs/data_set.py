"""A job's data set on this machine, wherever the request says it lies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from detnas.data_identity import data_changed
from detnas.store import open_store
from detnas.store.cache import default_cache_folder
from detnas_trainer.data.annotations import DataError
from detnas_trainer.data.fetching import DataFetcher, Split, folder_of, lies_in_store
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.unchanged_data import SINCE, UnchangedData
from detnas_trainer.jobs.watcher import Watcher

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
        watcher = Watcher(job, "fetching data")
        fetcher = DataFetcher(open_store(location.root), location, folder, watcher.told)
        missing = fetcher.fetch(splits, known)
    log.info("data set %s is in %s", location.root, folder)
    here = job.request.model_copy(
        update={"data": location.model_copy(update={"root": str(folder)})}
    )
    job.folder = replace(job.folder, request=here)
    return missing


def bring_same_data(job: Job[Any], splits: Sequence[Split] = BOTH) -> None:
    """The same, for a job that must see what the prepare job saw.

    From here on the job can ask whether the data is still the same.

    Raises:
        DataChangedError: it is not.
        StoreError: the store does not serve it.
        Interrupted: as above.
    """
    root = job.request.data.root
    try:
        missing = bring_data(job, splits)
    except DataError as error:  # the prepare job read it all
        raise data_changed([error.problem], SINCE) from error
    if missing:
        count = f"({len(missing)}, first {root}/{missing[0]})"
        raise data_changed([f"annotated pictures are gone {count}"], SINCE)
    unchanged = UnchangedData(job, splits, root)
    unchanged.check()
    job.check_data_again = unchanged.check_again
