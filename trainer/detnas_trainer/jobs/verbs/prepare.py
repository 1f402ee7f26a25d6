"""The prepare job: read the data set once, and refuse it before anything is trained on it."""

from typing import Any

from detnas.data_identity import list_images
from detnas.data_identity.overlap import overlaps
from detnas.own_data.coco_json import DataError
from detnas.plan.advice import fit_warnings
from detnas.plan.data_remarks import data_remarks
from detnas.plan.dataset import SplitFacts
from detnas.records.artifacts import (
    EXTERNAL_TEACHER,
    IMAGE_LISTING,
    TEST_LISTING,
    Artifact,
    ImageListing,
)
from detnas.records.requests import PrepareRequest
from detnas.records.results import Outcome, PrepareResult
from detnas.records.settings import SPLITS
from detnas.records.verbs import ADDED_VERBS
from detnas.store.artifacts import publish_file
from detnas.store.record_format import encode_record
from detnas_trainer.data.annotations import AnnotatedSplit, data_digest
from detnas_trainer.data.check import Splits, check_split_images, read_splits, summary
from detnas_trainer.data.image_check import Problem
from detnas_trainer.jobs.data_set import fetch_data
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.unchanged_inputs import weights_digest
from detnas_trainer.jobs.verbs.external_teacher import store_external_teacher

_LISTED = 100
_NAMED = 3


def prepare(job: Job[PrepareRequest]) -> PrepareResult:
    """Report what the data set holds; the outcome is Invalid if anything in it is wrong."""
    root = job.request.data.root
    try:
        # Missing images are reported with broken ones.
        fetch_data(job, job.request.data.splits)
        with job.activity("reading"):
            splits = read_splits(job.request.data)
    except DataError as error:
        # Users know the location of the data set, not of the copy.
        message = str(error).replace(job.request.data.root, root)
        return job.result(PrepareResult, outcome=Outcome.INVALID, message=message)
    with job.activity("images"):
        report = job.file_progress("checking images")
        checked = check_split_images(job.request.data, splits, job.request.resolutions, report)
    problems = [
        (line.replace(job.request.data.root, root), remedy)
        for images in checked.values()
        for line, remedy in images.problems
    ]
    train, val = splits["train"], splits["val"]
    seen: dict[str, Any] = {} if problems else _identity(job, splits)
    if not problems and job.request.teacher is not None:
        stored = store_external_teacher(job, job.request.teacher, train.classes)
        seen["files"][EXTERNAL_TEACHER], seen["teacher"] = stored
    warnings = (
        *fit_warnings(job.request, _facts(train), _facts(val)),
        *seen.pop("overlaps", ()),
    )
    for warning in warnings:
        log.warning("%s", warning)
    result = job.result(
        PrepareResult,
        **seen,
        outcome=Outcome.INVALID if problems else Outcome.SUCCEEDED,
        digest=data_digest(train, val),
        classes=train.classes,
        **{name: summary(split, checked[name]) for name, split in splits.items()},
        missing=tuple(line for line, _ in problems[:_LISTED]),
        warnings=warnings,
        verbs=tuple(map(str, ADDED_VERBS)),
        measures_latency=True,
    )
    message = _broken_message(problems) if problems else "; ".join(data_remarks(result))
    return result.model_copy(update={"message": message})


def _facts(split: AnnotatedSplit) -> SplitFacts:
    return SplitFacts(len(split.files), split.largest_objects)


def _identity(job: Job[PrepareRequest], splits: Splits) -> dict[str, Any]:
    """What later jobs, and later runs of the search, compare their data with.

    Test images are listed apart: the other listing identifies pools, which do not depend on them.
    """
    data, names = job.request.data, {name: split.files for name, split in splits.items()}
    files: dict[str, Artifact] = {}
    warnings: tuple[str, ...] = ()
    with job.activity("hashing"):
        report = job.file_progress("hashing images")
        listing = list_images(data, {name: names[name] for name in SPLITS}, report)
        files[IMAGE_LISTING] = _published(job, listing)
        if "test" in names:
            test = list_images(data, {"test": names["test"]}, report)
            files[TEST_LISTING] = _published(job, test)
            warnings = overlaps(data, listing, test)
        weights = weights_digest(job.request.weights, job.scratch)
    return {"files": files, "weights": weights, "overlaps": warnings}


def _published(job: Job[PrepareRequest], listing: ImageListing) -> Artifact:
    path = job.scratch / "images.json"
    path.write_bytes(encode_record(listing))
    return publish_file(job.folder.store, job.folder.key, path, "json")


def _broken_message(problems: list[Problem]) -> str:
    named = problems[:_NAMED]
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    remedies = list(dict.fromkeys(remedy for _, remedy in named))
    return (
        f"{len(problems)} annotated images cannot be used: "
        f"{'; '.join(line for line, _ in named)}{more}; {'; '.join(remedies)}; or "
        "take the images and their boxes out of the annotations"
    )
