"""A job's data set on this machine, wherever the request says it is."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detnas.data_identity import DataChangedError, data_changed, load_listing
from detnas.own_data.coco_json import DataError
from detnas.records.artifacts import ImageListing
from detnas.records.settings import ALL_SPLITS, SPLITS, DataLocation, Split
from detnas.store import open_store
from detnas.store.cache import default_cache_folder
from detnas_trainer.data.data_cache import data_cache
from detnas_trainer.data.fetching import DataFetcher, folder_of, image_key, is_in_store
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.unchanged_inputs import SINCE, check_dataset


def fetch_data(job: Job[Any], splits: Sequence[Split] = SPLITS) -> list[str]:
    """Fetch the data set from its store, if it is in one; the request then names the copy.

    Returns:
        The images that the annotations list and the store does not have.

    Raises:
        DataError: annotations are missing, or name a file that is not allowed.
        StoreError: the store does not serve them.
        Interrupted: the process was asked to stop; what has arrived stays for the next attempt.
    """
    location = job.request.data
    if not is_in_store(location):
        return []
    return _fetch(job, splits, folder_of(location, default_cache_folder()), {})


def _fetch(
    job: Job[Any], splits: Sequence[Split], folder: Path, sizes: Mapping[str, int]
) -> list[str]:
    location = job.request.data
    known = dict(zip(ALL_SPLITS, getattr(job.request, "annotations", ()), strict=False))
    with job.activity("fetching"):
        store, report = open_store(location.root), job.file_progress("fetching data")
        missing = DataFetcher(store, location, folder, report, sizes).fetch(splits, known)
    log.info("data set %s is in %s", location.root, folder)
    here = job.request.model_copy(
        update={"data": location.model_copy(update={"root": str(folder)})}
    )
    job.folder = replace(job.folder, request=here)
    return missing


def fetch_prepared_data(job: Job[Any], splits: Sequence[Split] = SPLITS) -> None:
    """Fetch the data set, which must be the one that the search was prepared with.

    From here on the job can check whether it still is. A copy that outlives the pod
    is used if there is room for one, unless it is damaged.

    Raises:
        DataChangedError: it differs.
        StoreError: the store does not serve it.
        Interrupted: as above.
    """
    if _fetched_into_cache(job, splits):
        return
    root = job.request.data.root
    try:
        missing = fetch_data(job, splits)
    except DataError as error:  # the prepare job read it all
        raise data_changed([error.problem], SINCE) from error
    if missing:
        count = f"({len(missing)}, first {root}/{missing[0]})"
        raise data_changed([f"annotated images are gone {count}"], SINCE)
    job.check_data_again = check_dataset(job, splits, root)


def _fetched_into_cache(job: Job[Any], splits: Sequence[Split]) -> bool:
    """Whether the job reads a copy that outlives the pod; if not, its request is unchanged."""
    original = job.folder
    cached = _cached_copy(job) if is_in_store(job.request.data) else None
    if cached is None:
        return False
    folder, sizes = cached
    try:
        missing = _fetch(job, splits, folder, sizes)
        if not missing:
            job.check_data_again = check_dataset(job, splits, original.request.data.root)
            return True
        log.warning("%s lacks %s: data is fetched again", folder, missing[0])
    except (DataChangedError, DataError) as error:
        log.warning("%s is not what the search was prepared with: %s", folder, error)
    job.folder = original
    return False


def _cached_copy(job: Job[Any]) -> tuple[Path, dict[str, int]] | None:
    """Return the folder of a copy that outlives the pod, and the sizes of its images."""
    cache = data_cache()
    listing = load_listing(job.folder.store, job.request.image_listing) if cache else None
    if cache is None or listing is None:
        return None
    sizes = _sizes(job.request.data, listing)
    try:
        folder = job.held.enter_context(cache.use(_copy_name(job), sum(sizes.values())))
    except OSError as error:
        log.warning("the data cache cannot be used: %s", error)
        return None
    if folder is None:
        log.warning("the data cache has no room: copies in use fill it, or it is too small")
        return None
    return folder, sizes


def _sizes(location: DataLocation, listing: ImageListing) -> dict[str, int]:
    return {
        image_key(location, split, name): size
        for split in ALL_SPLITS
        for name, (size, _) in getattr(listing, split).items()
    }


def _copy_name(job: Job[Any]) -> str:
    """The same for jobs that read the same data from the same place."""
    request = job.request
    location = request.data.model_dump(mode="json", exclude={"horizontal_flip"})
    content = [location, request.annotations, request.image_listing.sha256]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
