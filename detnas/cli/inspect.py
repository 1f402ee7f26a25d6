"""`detnas inspect`: the shape and cost of an architecture."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from detnas.architecture import GROUP_WIDTH, WIDEST_GROUP, Architecture, Family, encode, parse
from detnas.cli.find_search import find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.terminal import console
from detnas.cost import DetectorCost, detector_cost
from detnas.errors import UserError
from detnas.lifecycle.reading.state import SearchReader
from detnas.plan.stages import Phase, plan
from detnas.records import keys
from detnas.records.requests import ExportRequest
from detnas.records.settings import DetectorShape, HeadKind, Resolution
from detnas.runner.opening import OpenedSearch, Overrides
from detnas.spec.base import Model, model_architecture
from detnas.store.artifacts import load_record

_GIGA = 1e9
_MILLION = 1e6


def _resolution(text: str) -> Resolution:
    try:
        return Resolution.model_validate(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}; write WIDTHxHEIGHT, such as 1333x800") from error


StudentArgument = Annotated[
    str | None,
    typer.Argument(help="Folder or URI of a search whose exported student to inspect."),
]
EncodingOption = Annotated[
    str | None, typer.Option(help="An encoding: '[(64, 64)-(64, 64)], [(128, 128)], …'.")
]
ModelOption = Annotated[Model | None, typer.Option(help="A well-known detector.")]
FamilyOption = Annotated[
    Family | None,
    typer.Option(help="Kind of block; by default Basic for pairs and Bottleneck for triples."),
]
StemOption = Annotated[
    int | None, typer.Option(min=1, help="Channels of the stem; 64 by default, 16 for MobileNetV2.")
]
GroupWidthOption = Annotated[
    int,
    typer.Option(
        min=1, max=WIDEST_GROUP, help="Channels of a group in stage 1 of a ResNeXt; then doubles."
    ),
]
NeckOption = Annotated[int, typer.Option(min=1, help="Channels of the FPN.")]
FcOption = Annotated[int, typer.Option(min=1, help="Channels of the box head's layers.")]
ProposalsOption = Annotated[int, typer.Option(min=1, help="Proposals through the box head.")]
HeadOption = Annotated[
    HeadKind, typer.Option(help="Cascade has three box heads that follow one another.")
]
ResolutionOption = Annotated[
    Resolution | None,
    typer.Option(parser=_resolution, metavar="WxH", help="Image size; 1333x800 by default."),
]
ClassesOption = Annotated[
    int | None, typer.Option(min=1, help="Classes, background not counted; 80 by default.")
]


def inspect(
    student: StudentArgument = None,
    model: ModelOption = None,
    architecture: EncodingOption = None,
    family: FamilyOption = None,
    stem: StemOption = None,
    group_width: GroupWidthOption = GROUP_WIDTH,
    neck: NeckOption = 256,
    fc: FcOption = 1024,
    proposals: ProposalsOption = 1000,
    head: HeadOption = HeadKind.STANDARD,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show FLOPs, parameters, widths and compute per stage of a detector.

    FLOPs are counted as the paper counts them: multiply-accumulates, for one image.

    Examples:
        detnas inspect --architecture '[(64, 64)-(64, 64)], [(128, 128)-(128, 128)],
        [(256, 256)-(256, 256)], [(512, 512)-(512, 512)]' --resolution 1333x800 --classes 80

        detnas inspect --model faster-rcnn-x101-32x4d-fpn --resolution 1280x800

        detnas inspect runs/local/searches/digits-1a2b3c4d -o json
    """
    if sum(given is not None for given in (student, model, architecture)) != 1:
        raise UserError(
            "inspect: give either a search's folder, --model or --architecture",
            "detnas inspect --help shows them",
        )
    if student is None:
        shape = DetectorShape(neck=neck, fc=fc, proposals=proposals, head=head)
        if model is not None:
            subject = model_architecture(model)
        else:
            subject = parse(architecture or "", family, stem, group_width=group_width)
        size, count = resolution or Resolution(width=1333, height=800), classes or 80
    else:
        export = exported_student(find_search(student, Overrides()))
        shape, subject = export.detector, export.architecture
        size, count = resolution or export.resolution, classes or len(export.classes)
    cost = detector_cost(subject, shape, count, size)
    if output is Format.TABLE:
        _print_tables(subject, cost, size)
    else:
        print_record(describe(subject, cost, size), output)


def exported_student(search: OpenedSearch) -> ExportRequest:
    """The student that a search exported; after more trials, the latest.

    Raises:
        UserError: nothing was exported yet.
    """
    state = SearchReader(search.store, search.requests).read()
    if plan(state.observation, search.requests.spec).phase is not Phase.SUCCEEDED:
        raise UserError(
            f"{search.uri} has exported no student yet",
            "finish it with 'detnas run', or see 'detnas status'",
        )
    assert state.final_stages is not None
    export = load_record(
        search.store, keys.request_key(state.final_stages.export_folder), ExportRequest
    )
    assert export is not None  # its result was read
    return export


def describe(
    architecture: Architecture, cost: DetectorCost, resolution: Resolution
) -> dict[str, Any]:
    """A detector as plain data: ``flops`` and ``parameters`` are those of all parts."""
    return {
        "architecture": encode(architecture),
        "family": str(architecture.family),
        "stem": architecture.stem,
        "resolution": str(resolution),
        "flops": cost.flops,
        "parameters": cost.parameters,
        "parts": {
            name: {"flops": part.flops, "parameters": part.parameters}
            for name, part in cost.parts.items()
        },
        "stages": [[list(block.widths) for block in stage] for stage in architecture.stages],
        **({"groupWidths": groups} if (groups := architecture.group_widths) else {}),
    }


def _print_tables(architecture: Architecture, cost: DetectorCost, resolution: Resolution) -> None:
    print_lines(Text(f"{architecture.family}, stem {architecture.stem}: {encode(architecture)}"))
    if groups := architecture.group_widths:
        widths = ", ".join("-".join(map(str, stage)) for stage in groups)
        print_lines(Text(f"group widths: {widths}"))
    table = Table("part", "widths", "GFLOPs", "share", "M parameters", title=f"at {resolution}")
    for column in table.columns[2:]:
        column.justify = "right"
    stages = {f"stage {n}": stage for n, stage in enumerate(architecture.stages, 1)}
    for name, part in cost.parts.items():
        widths = " ".join("-".join(map(str, b.widths)) for b in stages.get(name, ()))
        table.add_row(name, widths, *_figures(part.flops, part.parameters, cost.flops))
    table.add_section()
    table.add_row("detector", "", *_figures(cost.flops, cost.parameters, cost.flops))
    out = console()
    if out.is_terminal:  # a frame must not be wrapped, and it contains no name
        out.print(table)
    else:
        print_lines(table)


def _figures(flops: int, parameters: int, total: int) -> tuple[str, str, str]:
    return f"{flops / _GIGA:.3f}", f"{flops / total:.1%}", f"{parameters / _MILLION:.3f}"
