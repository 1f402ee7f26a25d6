"""`detnas init`: from somebody's data set to a manifest that fits it and this machine."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.progress import Progress
from rich.prompt import Confirm, FloatPrompt

from detnas.cli.planning.validate import missing_files, warnings
from detnas.cli.terminal import console as console_for
from detnas.cli.terminal import say
from detnas.errors import UserError
from detnas.fitting.data_report import data_report
from detnas.fitting.detectors import THIN, ModelName, suitable_model
from detnas.fitting.fit import Fit, Wishes, default_hours, fit, shape_of
from detnas.fitting.machine import Machine
from detnas.fitting.manifest import SCHEMA_FILE, DataPlace, manifest_text
from detnas.own_data.facts import DataFacts, facts_of
from detnas.own_data.files import write_json, write_text
from detnas.own_data.source import OwnData, find_data
from detnas.processors import processors
from detnas.records.look import LookAnswer, LookRequest, TimedStep
from detnas.records.settings import DataLocation
from detnas.runner.trainer_look import ask_trainer, has_trainer
from detnas.spec import ManifestError, read_manifest
from detnas.spec.base import Model
from detnas.spec.json_schema import manifest_schema

_NAMED = 3
_NAME = re.compile(r"[^a-z0-9]+")


def init(
    data: Annotated[Path, typer.Argument(help="The data set's folder, or a COCO file.")],
    to: Annotated[Path, typer.Option("--to", help="The manifest to write.")] = Path("search.yaml"),
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours",
            min=0.05,
            help="How long the search may take. Default: 0.5 on processors, 24 on GPUs.",
        ),
    ] = None,
    model: Annotated[
        ModelName | None,
        typer.Option("--model", help="The base. Default: thin on processors, else by the data."),
    ] = None,
    backbone_weights: Annotated[
        str | None,
        typer.Option(
            "--backbone-weights",
            help="ImageNet weights of the base's backbone: a path or s3:// URI.",
        ),
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror",
            help="Whether a mirrored image is as good. Default: judged by the classes' names.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The search's name. Default: the data set's.")
    ] = None,
    converted: Annotated[
        Path | None,
        typer.Option(
            "--converted",
            help="Folder for annotations that are written. Default: DATA-coco, beside DATA.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Read every image and time a training step; needs the trainer.",
        ),
    ] = True,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; a script is never asked.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the manifest, and annotations made before.")
    ] = False,
) -> None:
    """Look at a data set, and write a manifest that fits it and this machine, with reasons.

    The data set is not changed. If it has no validation or no test split, they are divided from its
    images, the same way every time; annotations that are written lie beside it. Every image is
    read, as `detnas run` does first, and a training step is timed for the search to fit into the
    hours. In a terminal, hours and mirroring are asked for unless they are given.

    Examples:
        detnas init ../data/parts

        detnas init ../data/parts --to parts.yaml --hours 2 --no-mirror --yes

        detnas init ../data/parts && detnas run search.yaml
    """
    if to.exists() and not force:
        raise UserError(f"{to} exists", "name another with --to FILE, or replace it with --force")
    own = find_data(data, converted, replace=force)
    facts = facts_of({split: part.document for split, part in own.parts.items()})
    wishes = Wishes(
        name=_search_name(name or data.resolve().stem),
        hours=hours,
        model=model,
        mirror=mirror,
        backbone_weights=_seen_from(to, backbone_weights),
    )
    console = console_for(err=True)
    answer = _look(own, facts, wishes, console) if check and has_trainer() else None
    machine = _machine(answer)
    _check_weights(wishes, machine, facts)
    if sys.stdin.isatty() and sys.stdout.isatty() and not yes:
        wishes = _asked(wishes, facts, machine, console)
    found = fit(facts, machine, wishes)
    for line in data_report(own, facts, found, answer):
        say(line)
    _check_images(answer)
    _write(to, found, facts, own, wishes)


def _search_name(text: str) -> str:
    """A DNS label made of a name."""
    words = _NAME.sub("-", text.lower()).strip("-")
    return (words if words[:1].isalpha() else f"data-{words}".rstrip("-"))[:48].strip("-")


def _seen_from(manifest: Path, weights: str | None) -> str | None:
    """A path as the manifest has it, relative to its folder; a URI as it is."""
    if weights is None or "://" in weights:
        return weights
    return os.path.relpath(Path(weights).resolve(), manifest.resolve().parent)


def _location(own: OwnData) -> DataLocation:
    place = _place(own, own.root / "any.yaml")
    return DataLocation(
        root=str(own.root),
        train=place.annotations["train"],
        val=place.annotations["val"],
        test=place.annotations["test"],
        train_images=place.images["train"],
        val_images=place.images["val"],
        test_images=place.images["test"],
    )


def _place(own: OwnData, manifest: Path) -> DataPlace:
    """Where the data set is, seen from a manifest."""
    folder = manifest.parent

    def inside(path: Path) -> str:
        relative = os.path.relpath(path, own.root)
        return "" if relative == "." else relative

    shares = len(Path(os.path.commonpath([own.root, folder])).parts) > 1
    directory = os.path.relpath(own.root, folder) if shares else str(own.root)
    return DataPlace(
        manifest=manifest.name,
        directory=directory,
        annotations={split: inside(part.annotations) for split, part in own.parts.items()},
        images={split: inside(part.images) for split, part in own.parts.items()},
    )


def _look(own: OwnData, facts: DataFacts, wishes: Wishes, console: Console) -> LookAnswer:
    """Have the trainer check everything.

    Raises:
        UserError: the annotations cannot be used.
    """
    steps = []
    for machine in (Machine(processors()), Machine(processors(), gpus=("a GPU",))):
        chosen, resolutions, fields = shape_of(facts, machine, wishes)
        steps.append(
            TimedStep(
                architecture=chosen.architecture,
                detector=chosen.detector(fields),
                classes=len(facts.classes),
                resolutions=resolutions,
                batch=min(8, facts.training_images),
            )
        )
    on_cpu, on_gpu = steps
    request = LookRequest(
        data=_location(own),
        resolutions=(*on_cpu.resolutions, *on_gpu.resolutions),
        on_cpu=on_cpu,
        on_gpu=on_gpu,
    )
    total = sum(facts.images.values())
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("checking images, then timing a training step", total=total)
        answer = ask_trainer(request, lambda done, _: progress.update(task, completed=done))
    if answer.problem:
        raise UserError(answer.problem)
    return answer


def _machine(answer: LookAnswer | None) -> Machine:
    if answer is None:
        return Machine(processors())
    return Machine(processors(), answer.gpus, answer.seconds_per_image)


def _check_weights(wishes: Wishes, machine: Machine, facts: DataFacts) -> None:
    """Refuse ImageNet weights for the thin base, for which there are none.

    Raises:
        UserError: they were named.
    """
    model = wishes.model or suitable_model(machine, facts)
    if wishes.backbone_weights is not None and model == THIN:
        raise UserError(
            f"--backbone-weights {wishes.backbone_weights} do not fit the base {THIN}, which is a "
            "quarter as wide as the detectors that have ImageNet weights",
            f"name one of them: --model {Model.R18}",
        )


def _asked(wishes: Wishes, facts: DataFacts, machine: Machine, console: Console) -> Wishes:
    """The wishes with what the user answered to what was left open."""
    hours, mirror = wishes.hours, wishes.mirror
    if hours is None:
        hours = FloatPrompt.ask(
            f"Hours that the search may take on {machine.name}",
            default=default_hours(machine),
            console=console,
        )
    if mirror is None:
        mirror = Confirm.ask(
            f"Is a mirrored image as good ({', '.join(facts.classes[:5])})",
            default=not facts.mirrored_classes_differ,
            console=console,
        )
    return Wishes(wishes.name, hours, wishes.model, mirror, wishes.backbone_weights)


def _check_images(answer: LookAnswer | None) -> None:
    """Refuse images that `detnas run` would refuse.

    Raises:
        UserError: names the first of them.
    """
    if answer is None or not answer.images:
        return
    count, named = len(answer.images), answer.images[:_NAMED]
    more = f"\n  and {count - _NAMED} more" if count > _NAMED else ""
    lines = "".join(f"\n  {line}" for line in named)
    raise UserError(
        f"{count} annotated image{'s' * (count > 1)} cannot be used, and nothing was written:"
        f"{lines}{more}\nmend them, or take them and their boxes out of the annotations"
    )


def _write(to: Path, found: Fit, facts: DataFacts, own: OwnData, wishes: Wishes) -> None:
    """Write manifest and schema, and say what comes next."""
    text = manifest_text(found, facts, _place(own, to.resolve()), wishes)
    to.parent.mkdir(parents=True, exist_ok=True)  # relative paths lead through it
    search = read_manifest(yaml.safe_load(text), str(to))
    if wrong := missing_files(search, to.parent):
        raise ManifestError(str(to), wrong)
    write_json(to.parent / SCHEMA_FILE, manifest_schema())
    write_text(to, text)
    for line in warnings(search, to.parent):
        say(line, err=True)
    for note in found.notes:
        say(f"warning: {note}", err=True, style="yellow")
    say(f"{to} is written; read it, then:  detnas run {to}", style="green")
