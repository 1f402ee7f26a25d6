"""Training images that the quantisation of an export is calibrated with; only these are fetched."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from detnas.data_identity import PreparedData, data_changed, data_changes, load_listing
from detnas.data_identity.files import annotation_file, find_image, image_folder
from detnas.exported import InputForm, prepare, read_image
from detnas.records.artifacts import ImageListing, ListedImage
from detnas.records.exports import ExportedFile
from detnas.records.requests import ExportRequest
from detnas.records.settings import DataLocation
from detnas.store import open_store
from detnas_trainer.data.annotations import read_split
from detnas_trainer.data.fetching import DataFetcher, is_in_store
from detnas_trainer.jobs.data_set import fetch_prepared_data
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.unchanged_inputs import SINCE
from detnas_trainer.portable.quantisation import Inputs


def fetch_export_data(job: Job[ExportRequest]) -> tuple[str, ...]:
    """Fetch the validation split, and the training images that are calibrated with, if any.

    Returns:
        the names of these training images, evenly drawn from all of them.

    Raises:
        DataChangedError: they are not those that the search was prepared with.
        StoreError: the store does not serve them.
        Interrupted: the process was asked to stop.
    """
    files, location = job.request.files, job.request.data
    if files is None or not files.calibrates:
        fetch_prepared_data(job, ("val",))
        return ()
    listing = load_listing(job.folder.store, job.request.image_listing)
    if listing is None:  # of an earlier version's search: only the annotations name the images
        fetch_prepared_data(job)
        split = read_split(annotation_file(job.request.data, "train"), "train")
        return evenly_drawn([*split.files], files.calibration_images)
    fetch_prepared_data(job, ("val",))
    names = evenly_drawn([*listing.train], files.calibration_images)
    if is_in_store(location):
        _fetch(job, location, names)
    _compare(job, location.root, {name: listing.train[name] for name in names})
    return names


def evenly_drawn(names: Sequence[str], count: int) -> tuple[str, ...]:
    """At most ``count`` of the names, evenly spread over them."""
    if len(names) <= count:
        return tuple(names)
    return tuple(names[rank * len(names) // count] for rank in range(count))


def calibration_inputs(
    location: DataLocation, form: InputForm, file: ExportedFile, names: Sequence[str]
) -> Iterator[Inputs]:
    """Training images as an exported file takes them, one by one.

    Args:
        location: of the data set.
        form: of the input.
        file: whose shape it has.
        names: of the images.
    """
    folder = image_folder(location, "train")
    for name in names:
        image = prepare(read_image(find_image(folder, name)), form, file)
        yield {"images": image.pixels[None], "sizes": np.array([image.size], np.float32)}


def _fetch(job: Job[ExportRequest], location: DataLocation, names: Sequence[str]) -> None:
    with job.activity("fetching"):
        report = job.file_progress("fetching calibration images")
        folder = Path(job.request.data.root)
        DataFetcher(open_store(location.root), location, folder, report).fetch_images(
            "train", names
        )


def _compare(job: Job[ExportRequest], root: str, images: Mapping[str, ListedImage]) -> None:
    location = job.request.data
    prepared = PreparedData(listing=ImageListing(train=dict(images), val={}))
    with job.activity("comparing"):
        changes = data_changes(prepared, location, ("train",))
    if changes:
        raise data_changed([one.replace(location.root, root) for one in changes], SINCE)
