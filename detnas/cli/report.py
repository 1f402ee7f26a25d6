"""`detnas report`: a page about a search and its results."""

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from detnas.cli.find_search import NamespaceOption, SearchArgument, StoreOption, find_search
from detnas.cli.output import Format, FormatOption, print_record
from detnas.cli.terminal import say
from detnas.report import publish_report, write_report
from detnas.runner.opening import Overrides


def report(
    search: SearchArgument,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="HTML or JSON file to write; else report/index.html beside the search."
        ),
    ] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Write a page about a search: scores, Pareto front, every trial, lineage of the winner.

    It is one file that needs no network. A search that still runs, or that failed, has one too.
    A JSON file has the numbers instead: of each trial its gain, its generation and the parameters
    of student and teacher, the FLOPs of each stage before and after, and the cost in GPU-days.

    Examples:
        detnas report search.yaml

        detnas report runs/local/searches/digits-0123abcd --to digits.html

        detnas report search.yaml --to numbers.json

        detnas report s3://bucket/prefix/team-a/searches/digits-0123abcd

        detnas report digits --store s3://bucket/prefix -n team-a
    """
    opened = find_search(search, Overrides(store, namespace))
    if to is None:
        place = readable_place(publish_report(opened.store, opened.requests))
    else:
        place = str(write_report(opened.store, opened.requests, to).absolute())
    if output is Format.TABLE:
        say(f"report: {place}")
    else:
        print_record({"report": place, "search": opened.uri}, output)


def readable_place(uri: str) -> str:
    """The path of a file on this machine, else the URI."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" else uri
