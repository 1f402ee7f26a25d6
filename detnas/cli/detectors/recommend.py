"""`detnas recommend`: the detector of a search for a device or a budget."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from detnas.cli.detectors.benchmarks import read_benchmark
from detnas.cli.find_search import NamespaceOption, SearchArgument, StoreOption, find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.terminal import say
from detnas.errors import UserError
from detnas.ledger import LedgerEntry, read_entries
from detnas.lifecycle.outcome import detectors_of, recommendations, stored_exports
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.plan.front import pareto_front
from detnas.plan.latencies import FinishedExport, benchmarked_latencies, exported_latencies
from detnas.plan.recommendation import MeasuredLatency, Recommendation
from detnas.runner.opening import OpenedSearch, Overrides
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
    bench: Annotated[
        list[Path] | None,
        typer.Option(
            help="Output of 'detnas bench -o json' of this search's exports; may be repeated."
        ),
    ] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Name the detector of a search for a device or a budget, and why.

    It is the most accurate one within the limits; with --min-map alone the fastest on the device,
    or that with the fewest FLOPs. Without limits it is named for each of spec.objectives. Latencies
    are those that the search's exports measured and those of --bench.

    Exit codes: 0 a detector for each, 1 none fits, 2 the search or a limit cannot be used.

    Examples:
        detnas recommend search.yaml --max-flops 2.5e9

        detnas recommend search.yaml --max-latency-ms 12 --device 'CPU, 2 threads'

        detnas recommend search.yaml --max-latency-ms 40 --bench edge.json --device 'AMD EPYC 9654'

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
    trials = _trials(opened, state)
    latencies = _latencies(stored_exports(opened, state, trials), bench or [])
    found = recommendations(state, objectives, latencies, trials)
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


def _trials(search: OpenedSearch, state: SearchState) -> list[LedgerEntry]:
    if state.scorer is None:
        return []
    return list(read_entries(search.store, search.requests.search, state.scorer))


def _latencies(exports: list[FinishedExport], files: list[Path]) -> list[MeasuredLatency]:
    """Of the exports, and of what was measured elsewhere."""
    found = list(exported_latencies(exports))
    for file in files:
        known, others = benchmarked_latencies(read_benchmark(file), exports)
        found += known
        for one in others:
            say(
                f"{file}: {one.file} is no export of this search, so its latency is not used",
                err=True,
            )
    return found


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
    try:
        return DetectorLimits(
            device=device,
            max_latency_ms=_decimal(max_latency_ms),
            max_flops=None if max_flops is None else round(max_flops),
            min_map=_decimal(min_map),
        )
    except (ValidationError, OverflowError) as error:
        raise _wrong_limit(error) from error


def _decimal(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))


def _wrong_limit(error: ValidationError | OverflowError) -> UserError:
    """What the options themselves let pass: infinity, and a name that is too long or empty."""
    if isinstance(error, OverflowError):
        return UserError("--max-flops inf", "write a number, such as 2.5e9")
    first = error.errors()[0]
    option = "--" + "-".join(map(str, first["loc"])).replace("_", "-")
    return UserError(
        f"{option} '{first['input']}': {first['msg']}", "see 'detnas recommend --help'"
    )
