"""`detnas recommend`: the detector of a search for a device or a budget."""

from decimal import Decimal
from typing import Annotated

import typer

from detnas.cli.find_search import NamespaceOption, SearchArgument, StoreOption, find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.errors import UserError
from detnas.lifecycle.outcome import detectors_of, recommendations
from detnas.lifecycle.reading.state import SearchReader
from detnas.plan.front import pareto_front
from detnas.plan.recommendation import Recommendation
from detnas.runner.opening import Overrides
from detnas.runner.tables import front_table, recommended_table
from detnas.spec.objectives import DetectorLimits


def recommend(
    search: SearchArgument,
    max_latency_ms: Annotated[
        float | None, typer.Option(min=0.001, help="Longest time of one image, in milliseconds.")
    ] = None,
    max_flops: Annotated[
        float | None, typer.Option(min=1, help="Most FLOPs of one image, such as 2.5e9.")
    ] = None,
    min_map: Annotated[
        float | None, typer.Option(min=0.0001, max=1, help="Lowest mAP, a fraction such as 0.41.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Device whose latencies count, as they name it. Default: the only one with any."
        ),
    ] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Name the detector of a search for a device or a budget, and why.

    It is the most accurate one within the limits; with --min-map alone the fastest on the device,
    or that with the fewest FLOPs. Without limits it is named for each of spec.objectives. Latencies
    are those that the export measured.

    Exit codes: 0 a detector for each, 1 none fits, 2 the search or a limit cannot be used.

    Examples:
        detnas recommend search.yaml --max-flops 2.5e9

        detnas recommend search.yaml --max-latency-ms 12 --device 'CPU, 2 threads'

        detnas recommend digits --store s3://bucket/prefix -n team-a --min-map 0.4 -o json
    """
    limits = _limits(max_latency_ms, max_flops, min_map, device)
    opened = find_search(search, Overrides(store, namespace))
    objectives = (limits,) if limits else opened.requests.spec.objectives
    if not objectives:
        raise UserError(
            f"{search}: nothing limits the detector, and the search has no spec.objectives",
            "give --max-latency-ms, --max-flops or --min-map",
        )
    state = SearchReader(opened.store, opened.requests).read()
    front = pareto_front(detectors_of(state))
    found = recommendations(state, objectives)
    if output is Format.TABLE:
        print_lines(front_table(front))
        print_lines(recommended_table(found))
    else:
        listed = {"recommended": found, "front": front}
        record = {
            name: [one.model_dump(mode="json", by_alias=True) for one in some]
            for name, some in listed.items()
        }
        print_record(record, output)
    if not all(_fits(one) for one in found):
        raise typer.Exit(1)


def _fits(one: Recommendation) -> bool:
    return one.detector is not None


def _limits(
    max_latency_ms: float | None,
    max_flops: float | None,
    min_map: float | None,
    device: str | None,
) -> DetectorLimits | None:
    """The limits of the command line; None without any."""
    if max_latency_ms is None and max_flops is None and min_map is None:
        if device is not None:
            raise UserError(
                f"--device {device}: nothing limits the detector",
                "give --max-latency-ms, --max-flops or --min-map, too",
            )
        return None
    return DetectorLimits(
        device=device,
        max_latency_ms=_decimal(max_latency_ms),
        max_flops=None if max_flops is None else round(max_flops),
        min_map=_decimal(min_map),
    )


def _decimal(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))
