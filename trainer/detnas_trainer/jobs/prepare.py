"""The prepare job: read the data set once, and refuse it before anything is trained on it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detnas.data_identity import list_pictures
from detnas.records.progress import Progress
from detnas.records.requests import PrepareRequest
from detnas.records.results import Outcome, PrepareResult, SplitSummary
from detnas.records.settings import DataLocation
from detnas.store.artifacts import canonical_json, publish_file
from detnas_trainer.data.annotations import (
    DataError,
    Split,
    check_same_categories,
    data_digest,
    read_split,
)
from detnas_trainer.data.images import broken_images
from detnas_trainer.jobs.data_set import bring_data
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.same_weights import weights_digest
from detnas_trainer.jobs.watcher import Watcher

_LISTED = 100
_NAMED = 3


def prepare(job: Job[PrepareRequest]) -> PrepareResult:
    """Say what the data set holds; a data set with anything wrong in it is Invalid."""
    root = job.request.data.root
    try:
        bring_data(job)  # what is missing then is found with what is broken
        with job.activity("reading"):
            train, val = _splits(job.request.data)
    except DataError as error:
        # People know the data set's own place, not the copy's.
        message = str(error).replace(job.request.data.root, root)
        return job.result(PrepareResult, outcome=Outcome.INVALID, message=message)
    with job.activity("images"):
        missing = [line.replace(job.request.data.root, root) for line in _missing(job, train, val)]
    seen: dict[str, Any] = {} if missing else _identity(job, train, val)
    return job.result(
        PrepareResult,
        **seen,
        outcome=Outcome.INVALID if missing else Outcome.SUCCEEDED,
        message=_broken_message(missing) if missing else _ignored_message(train, val),
        digest=data_digest(train, val),
        classes=tuple(name for _, name in train.categories),
        train=_summary(train),
        val=_summary(val),
        missing=tuple(missing[:_LISTED]),
    )


def _splits(data: DataLocation) -> tuple[Split, Split]:
    root = Path(data.root)
    train = read_split(root / data.train, "train")
    val = read_split(root / data.val, "val")
    check_same_categories(train, val)
    return train, val


def _missing(job: Job[PrepareRequest], train: Split, val: Split) -> list[str]:
    data = job.request.data
    root = Path(data.root)
    done, total = 0, len(train.files) + len(val.files)

    def checked(images: int) -> None:
        nonlocal done
        job.interruption.check()
        done += images
        now = datetime.now(UTC)
        job.report(Progress(activity="checking images", done=done, total=total, updated=now))

    return [
        *broken_images(root / data.train_images, train.files, checked=checked),
        *broken_images(root / data.val_images, val.files, checked=checked),
    ]


def _identity(job: Job[PrepareRequest], train: Split, val: Split) -> dict[str, Any]:
    """What later jobs, and later runs of the search, compare their data with."""
    names: dict[Any, Iterable[str]] = {"train": train.files, "val": val.files}
    with job.activity("hashing"):
        watcher = Watcher(job, "hashing pictures")
        listing = list_pictures(job.request.data, names, watcher.told)
        path = job.scratch / "pictures.json"
        path.write_bytes(canonical_json(listing))
        pictures = publish_file(job.folder.store, job.folder.key, path, "json")
        weights = weights_digest(job.request.weights, job.scratch)
    return {"files": {"pictures": pictures}, "weights": weights}


def _broken_message(missing: list[str]) -> str:
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (
        f"{len(missing)} annotated images can not be used: {'; '.join(missing[:_NAMED])}{more}; "
        "restore the files, or take the images and their boxes out of the annotations"
    )


def _ignored_message(train: Split, val: Split) -> str:
    found = [
        f"{name}: {len(split.ignored)} boxes below one pixel are ignored, "
        f"first annotation {split.ignored[0]}"
        for name, split in (("train", train), ("val", val))
        if split.ignored
    ]
    return "; ".join(found)


def _summary(split: Split) -> SplitSummary:
    return SplitSummary(
        sha256=split.sha256,
        images=len(split.files),
        boxes=split.boxes,
        empty_images=split.empty_images,
    )
