"""`detnas validate`: checks a manifest and its data set's files without running anything."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from detnas.architecture import encode
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.planning.cluster_warnings import cluster_warnings
from detnas.cli.planning.named_files import is_local, wrong_files
from detnas.cli.terminal import say
from detnas.errors import UserError
from detnas.plan.advice import fit_warnings
from detnas.plan.dataset import SplitFacts, split_facts
from detnas.plan.requests import SearchRequests
from detnas.runner.opening import open_search
from detnas.runner.unchanged_data import check_data_unchanged
from detnas.spec import DetNASSearch, ManifestError, Problem, load_manifest
from detnas.spec.batch_shares import unequal_shares
from detnas.spec.manifest import SearchSpec

_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a damaged annotation file can raise: the data check reports what is wrong with it."""


def validate(
    manifest: Annotated[Path, typer.Argument(help="The DetNASSearch, as YAML or JSON.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Check a manifest: every field, and the files of this machine that it names.

    Those are the data set's folder and annotations, the base's weights, which must look like a
    checkpoint, and an external teacher's files. If the search has started in a folder of this
    machine, they must be unchanged since.
    Data in S3, in a volume or of another search is not read, and is named on standard error as not
    checked. Nothing is run and nothing is written; all problems are reported together. If the
    manifest does not fit the data (for example too few steps or images), or a cluster would refuse
    it, standard error has a warning; the manifest is valid nevertheless.

    Examples:
        detnas validate search.yaml

        detnas validate search.yaml -o yaml     # the manifest with every default filled in
    """
    search = load_manifest(manifest)
    wrong = [*missing_files(search, manifest.parent), *unequal_shares(search.spec)]
    if wrong:
        raise ManifestError(str(manifest), wrong)
    _check_data_unchanged(search, manifest)
    if output is Format.TABLE:
        _print_summary(search, manifest)
    else:
        print_record(search.model_dump(mode="json", by_alias=True, exclude_none=True), output)
    for field, named in unchecked(search).items():
        say(f"not checked: {field}, whether {named} is there", err=True)
    for warning in cluster_warnings(search.spec):
        say(f"warning: {warning}", err=True)
    for line in warnings(search, manifest.parent):
        say(line, err=True)


def _check_data_unchanged(search: DetNASSearch, manifest: Path) -> None:
    """Check that a search which has started on this machine still has its data.

    Raises:
        DataChangedError: it has not, so that `detnas run` would refuse to continue.
    """
    if search.spec.dataset.source.directory is None:
        return
    try:
        opened = open_search(manifest)
    except UserError:  # a cluster's store, which is not read
        return
    if opened.store.uri.startswith("file:"):
        check_data_unchanged(opened)


def missing_files(search: DetNASSearch, folder: Path) -> list[Problem]:
    """Files and folders that the manifest names and that are missing or of another kind.

    Args:
        search: the manifest.
        folder: where relative paths start.
    """
    return [*wrong_files(search.spec, folder), *_missing_data(search, folder)]


def unchecked(search: DetNASSearch) -> dict[str, str]:
    """What the manifest names and this command does not check, by its field."""
    spec = search.spec
    source = spec.dataset.source
    claim = source.persistent_volume_claim
    there = f"claim {claim.claim_name} with {claim.path or 'the data set'}" if claim else None
    named = {
        "spec.dataset.source.persistentVolumeClaim": there,
        "spec.dataset.source.s3": source.s3,
        **{
            f"spec.{field}": None if is_local(address, spec) else address
            for field, address in spec.named_files.items()
        },
        "spec.teachers.pool": spec.teachers.pool,
        "spec.warmStart.from": spec.warm_start.search if spec.warm_start else None,
    }
    return {field: name for field, name in named.items() if name is not None}


def warnings(search: DetNASSearch, folder: Path) -> Iterator[str]:
    """Yield lines that state where the manifest does not fit the data on this machine.

    Args:
        search: the manifest.
        folder: where relative paths start.
    """
    dataset = search.spec.dataset
    if dataset.source.directory is None:
        return
    facts: dict[str, SplitFacts] = {}
    for split, name in (("train", dataset.train), ("val", dataset.val)):
        path = folder / dataset.source.directory / name
        try:
            facts[split] = split_facts(json.loads(path.read_bytes()))
        except _UNREADABLE:
            yield (
                f"not checked: spec.dataset.{split}, whether the manifest fits it: {path} cannot "
                "be read as COCO annotations"
            )
    request = SearchRequests(search, "", folder).prepare()
    for warning in fit_warnings(request, facts.get("train"), facts.get("val")):
        yield f"warning: {warning}"


def _missing_data(search: DetNASSearch, folder: Path) -> list[Problem]:
    dataset = search.spec.dataset
    if dataset.source.directory is None:
        return []
    root = folder / dataset.source.directory
    if not root.is_dir():
        return [
            Problem(
                "spec.dataset.source.directory",
                f"{root.absolute()} is not a folder; give the folder of the data set",
            )
        ]
    annotations = {"train": dataset.train, "val": dataset.val}
    images = {"trainImages": dataset.train_images, "valImages": dataset.val_images}
    return [
        Problem(f"spec.dataset.{field}", f"{root / path} is not a file; give a COCO JSON file")
        for field, path in annotations.items()
        if not (root / path).is_file()
    ] + [
        Problem(f"spec.dataset.{field}", f"{root / path} is not a folder; give the images' folder")
        for field, path in images.items()
        if not (root / path).is_dir()
    ]


def _print_summary(search: DetNASSearch, path: Path) -> None:
    spec = search.spec
    space, phases = spec.teachers.space, len(spec.teachers.trained_phases)
    pool = f"{space.count(len(spec.resolutions)):,} in the pool, resolutions counted"
    external = "an external one of the fine-tuning" if phases else "an external one"
    teachers = [*([pool] if phases else []), *([external] if spec.teachers.external else [])]
    rows: dict[str, Any] = {
        "base": encode(spec.base.resolve()),
        "resolutions": ", ".join(map(str, spec.resolutions)),
        "teachers": "; ".join(teachers),
        "pool phases": phases,
        "trials": f"{spec.search.trials}, {spec.search.parallelism} concurrently",
        "fine-tuning": f"{spec.finetune.epochs} epochs" if spec.finetune else "none",
        "baselines": _baselines(spec),
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, str(value))
    print_lines(Text.assemble((f"{path} is valid", "green"), f": search {search.metadata.name}"))
    print_lines(table)


def _baselines(spec: SearchSpec) -> str:
    """Which are trained; how long is known only when the best student is."""
    named = ", ".join(one.words for one in spec.baselines)
    return (
        f"{named}; each for as long as the best student's trials and fine-tuning"
        if named
        else "none"
    )
