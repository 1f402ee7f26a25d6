"""The `detnas` command: its subcommands, and how errors become messages and exit codes."""

import sys
from typing import Annotated

import typer

from detnas import __version__
from detnas.cli.definitions import crd, schema
from detnas.cli.detectors.bench import bench
from detnas.cli.detectors.export import export
from detnas.cli.detectors.push import push
from detnas.cli.detectors.recommend import recommend
from detnas.cli.inspect import inspect
from detnas.cli.planning.doctor import doctor
from detnas.cli.planning.estimate import estimate
from detnas.cli.planning.init import init
from detnas.cli.planning.validate import validate
from detnas.cli.pools import pools
from detnas.cli.report import report
from detnas.cli.reproduce import reproduce
from detnas.cli.run import run
from detnas.cli.status import status
from detnas.cli.terminal import keep_codes_off_files, say, show_error
from detnas.errors import UserError
from detnas.process_setup import ensure_utf8_mode, guard_standard_streams

BAD_INPUT = 2
"""Exit code of a command whose input cannot be used."""


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"detnas {__version__}")
        raise typer.Exit


app = typer.Typer(
    help="""Upgrade an object detector by joint architecture search, pruning and distillation.

    A manifest describes a search; a store has its results, so that any command can be stopped and
    repeated. Each command's --help shows examples.

    Examples:
        detnas init ../data/parts

        detnas validate search.yaml

        detnas estimate search.yaml

        detnas run search.yaml

        detnas report search.yaml
    """,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(init)
app.command()(estimate)
app.command()(doctor)
app.command()(run)
app.command()(status)
app.command()(recommend)
app.command()(report)
app.command()(validate)
app.command()(inspect)
app.command()(export)
app.command()(bench)
app.command()(push)
app.command()(reproduce)
app.command()(crd)
app.command()(schema)
app.add_typer(pools, name="pools")


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of the command itself; its help is the app's."""


def main() -> None:
    """Run the command line; a user's error is one message on standard error and exit code 2."""
    ensure_utf8_mode()
    guard_standard_streams()
    keep_codes_off_files()
    try:
        app()
    except UserError as error:
        show_error(error)
        sys.exit(BAD_INPUT)
