"""`detnas estimate`: what a search takes, before it is begun."""

import json
from pathlib import Path
from typing import Annotated

import typer

from detnas.cli.find_search import find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.planning.forecast_text import forecast_text
from detnas.cli.terminal import console
from detnas.errors import UserError
from detnas.forecast.devices import Devices, on_cluster, on_machine
from detnas.forecast.past_search import PastSearch, past_search
from detnas.forecast.search_forecast import DataSize, search_forecast, search_loads
from detnas.forecast.speed import MEASURED, Speed, timed_speed
from detnas.forecast.work import Loads
from detnas.processors import nvidia_gpus, processors, requested_threads
from detnas.records.look import LookRequest, TimedStep
from detnas.records.settings import Resolution
from detnas.runner.opening import OpenedSearch, Overrides
from detnas.runner.trainer_look import ask_trainer, has_trainer
from detnas.spec import load_manifest
from detnas.spec.dataset import Dataset
from detnas.spec.manifest import SearchSpec
from detnas.store import open_store

_TIMED_FLOPS = 5e10
"""Of the images that are timed on a processor, together: a minute or two with one thread."""

_TIMED_BATCH, _TIMED_GPU_BATCH = 8, 16
_CLASSES = 80
"""If the annotations are not read: COCO's."""

_SPLITS = ("train", "val", "test")


def estimate(
    manifest: Annotated[Path, typer.Argument(help="The DetNASSearch, as YAML or JSON.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A search whose records show the speed: its manifest, or its folder or URI in the "
            "store. Default: a training step is timed on this machine.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            help="Numbers of training, validation and test images, such as 118000,5000, if the "
            "annotations cannot be read here.",
        ),
    ] = None,
    cluster: Annotated[
        bool | None,
        typer.Option(
            "--cluster/--machine",
            help="Whether each job has the GPUs that the manifest requests, or all share this "
            "machine. Default: by where the data set is.",
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=0, help="GPUs of the machine. Default: those of this one."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Estimate hours, GPU or core hours, and storage of a search before it is begun.

    A training step of the base is timed on this machine, for about a minute, or the speed of each
    kind of job is taken from the records of an earlier search on the same kind of machine. Every
    figure has a range. Nothing is written.

    Examples:
        detnas estimate search.yaml

        detnas estimate search.yaml --from runs/local/searches/digits-0123abcd

        detnas estimate search.yaml --from s3://bucket/prefix/team-a/searches/r50-0123abcd

        detnas estimate search.yaml --images 118000,5000 --gpus 8
    """
    spec = load_manifest(manifest).spec
    as_cluster = spec.dataset.source.directory is None if cluster is None else cluster
    here = nvidia_gpus() if gpus is None else gpus
    past = _past(source, here) if source is not None else None
    data = _data(spec.dataset, manifest.parent, images, past)
    if past is not None:
        speed, basis = past.speed, past.basis
    else:
        speed, here, basis = _timed(spec, data.classes, gpus)
    devices = on_cluster(spec) if as_cluster else _this_machine(spec, here)
    if past is None:
        _check_device(devices, here)
    found = search_forecast(spec, data, speed, devices, basis)
    if output is Format.TABLE:
        print_lines(forecast_text(found, str(manifest)))
    else:
        print_record(found.model_dump(mode="json", by_alias=True), output)


def _past(source: str, gpus: int) -> PastSearch:
    search = find_search(source, Overrides())
    return past_search(search, _devices_of(search, gpus))


def _devices_of(search: OpenedSearch, gpus: int) -> Devices:
    spec = search.requests.spec
    return on_cluster(spec) if search.on_cluster else _this_machine(spec, gpus)


def _this_machine(spec: SearchSpec, gpus: int) -> Devices:
    return on_machine(spec, processors(), gpus, requested_threads())


def _data(dataset: Dataset, folder: Path, images: str | None, past: PastSearch | None) -> DataSize:
    """Size of the data set: as stated, as its files have it, or as in the earlier search.

    Raises:
        UserError: none of these is known.
    """
    if images is not None:
        return DataSize(_stated(images), past.data.classes if past else _CLASSES)
    try:
        return _read(dataset, folder)
    except (UserError, OSError, ValueError, LookupError, TypeError) as error:
        if past is not None:
            return past.data
        raise UserError(
            f"the annotations cannot be read here: {error}",
            "state the numbers of images, such as --images 118000,5000, or name an earlier search "
            "with --from",
        ) from None


def _stated(images: str) -> dict[str, int]:
    numbers = images.split(",")
    if not (1 < len(numbers) <= len(_SPLITS)) or not all(
        one.strip().isdecimal() for one in numbers
    ):
        raise UserError(
            f"--images {images} is wrong",
            "give numbers of training, validation and, if there are any, test images: 118000,5000",
        )
    return {split: int(number) for split, number in zip(_SPLITS, numbers, strict=False)}


def _read(dataset: Dataset, folder: Path) -> DataSize:
    files = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    documents = {
        split: json.loads(_content(dataset, folder, path))
        for split, path in files.items()
        if path is not None
    }
    images = {split: len(document["images"]) for split, document in documents.items()}
    return DataSize(images, len(documents["train"]["categories"]))


def _content(dataset: Dataset, folder: Path, path: str) -> bytes:
    source = dataset.source
    if source.directory is not None:
        return (folder / source.directory / path).read_bytes()
    if source.s3 is None:
        raise UserError(f"{path} is in a volume of a cluster")
    stored = open_store(source.s3.rstrip("/")).get(path)
    if stored is None:
        raise UserError(f"{source.s3} has no {path}")
    return stored.data


def _timed(spec: SearchSpec, classes: int, gpus: int | None) -> tuple[Speed, int, str]:
    """Speed of this machine, its GPUs, and how that is known.

    Raises:
        UserError: nothing can be timed here.
    """
    if not has_trainer():
        raise UserError(
            "no step can be timed: the trainer is not installed here",
            "install detnas[trainer], or name an earlier search with --from",
        )
    load = search_loads(spec, classes)
    request = LookRequest(
        on_cpu=_step(spec, classes, _sizes_for_a_processor(spec, load), _processor_batch(load)),
        on_gpu=_step(spec, classes, spec.resolutions, _TIMED_GPU_BATCH),
    )
    with console(err=True).status("timing a training step"):
        answer = ask_trainer(
            request, lambda *_: None, otherwise="name an earlier search with --from"
        )
    step = request.on_gpu if answer.gpus else request.on_cpu
    flops = search_loads(spec.model_copy(update={"resolutions": step.resolutions}), classes).base
    device = answer.gpus[0] if answer.gpus else "one processor"
    basis = (
        f"a training step of the base, timed on {device}: {answer.seconds_per_image:.3g} s for an "
        f"image; jobs were found to take {MEASURED.low:g} to {MEASURED.high:g} times what follows"
    )
    count = len(answer.gpus) if gpus is None else gpus
    return timed_speed(answer.seconds_per_image, flops), count, basis


def _step(spec: SearchSpec, classes: int, sizes: tuple[Resolution, ...], most: int) -> TimedStep:
    training = spec.base.train or spec.trial_training
    return TimedStep(
        architecture=spec.base.resolve(),
        detector=spec.detector,
        classes=classes,
        resolutions=sizes,
        batch=max(1, min(most, training.batch_size)),
    )


def _sizes_for_a_processor(spec: SearchSpec, load: Loads) -> tuple[Resolution, ...]:
    """Every size, or of a large detector the one that is nearest to their mean."""
    if load.base * load.sizes <= _TIMED_FLOPS:
        return spec.resolutions
    mean = sum(size.pixels for size in spec.resolutions) / load.sizes
    return (min(spec.resolutions, key=lambda size: abs(size.pixels - mean)),)


def _processor_batch(load: Loads) -> int:
    return max(1, min(_TIMED_BATCH, int(_TIMED_FLOPS / (load.base * load.sizes))))


def _check_device(devices: Devices, gpus: int) -> None:
    """Refuse to estimate GPU hours from a processor, or core hours from a GPU.

    Raises:
        UserError: it was timed on another device than the jobs have.
    """
    if (devices.unit == "GPU") == bool(gpus):
        return
    timed, wanted = ("a GPU", "processors") if gpus else ("a processor", "GPUs")
    raise UserError(
        f"a step can be timed on {timed} here, but the search's jobs run on {wanted}",
        f"run this where there are {wanted}, name an earlier search with --from, or ask for this "
        "machine with --machine",
    )
