"""The commands of `dev.py`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from detnas.process_setup import guard_standard_streams
from tools import kubernetes
from tools.checks import run_checks
from tools.e2e.command import Options, require_machine, run_e2e
from tools.environment import Environment, setup
from tools.example import run_example
from tools.process import StepFailed, say

ROOT = Path(__file__).resolve().parent.parent
_FOR_TESTS = (*kubernetes.CONTROL_PLANE, *kubernetes.EXTENSIONS)


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status is that of the step that failed, else 0."""
    guard_standard_streams()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command != "test":
        _parser().error(f"unknown arguments: {' '.join(rest)}")
    try:
        _run(options, rest)
    except StepFailed as failure:
        if str(failure):
            say(str(failure))
        return failure.status
    except KeyboardInterrupt:
        say("\ninterrupted; the same command resumes from here")
        return 130
    return 0


def _run(options: argparse.Namespace, rest: Sequence[str]) -> None:
    if options.command == "kubernetes":
        for path in kubernetes.obtain(options.programs or _FOR_TESTS).values():
            say(str(path))
        return
    os.chdir(ROOT)
    environment = Environment(ROOT)
    if options.command == "e2e":
        require_machine(environment, base_is_given=options.base is not None)
    setup(environment)
    if options.command == "example":
        run_example(environment)
    elif options.command == "test":
        run_checks(environment, rest)
    elif options.command == "e2e":
        run_e2e(environment, Options(base=options.base, keep=options.keep))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev.py",
        description="Set up this checkout in .venv and run it. A second run is quick.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("example", "set up, then run the entire search on the digits data set"),
        ("test", "set up, then run the linters, the type checker and the tests"),
        ("e2e", "set up, then build the images and run a search on a real Kubernetes node"),
        ("setup", "only set up"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == "test":
            command.epilog = "Any further arguments go to pytest: dev.py test -k store -x"
        elif name == "e2e":
            _add_e2e_options(command)
    text = "build the Kubernetes programs that the operator's tests use, where they are missing"
    command = commands.add_parser("kubernetes", help=text, description=text, allow_abbrev=False)
    programs = f"default: {', '.join(_FOR_TESTS)}; also {', '.join(kubernetes.NODE)}"
    command.add_argument("programs", nargs="*", metavar="NAME", help=programs)
    return parser


def _add_e2e_options(command: argparse.ArgumentParser) -> None:
    command.epilog = "Needs Linux, root and some Debian packages; see docs/cluster-e2e.md."
    command.add_argument(
        "--base",
        metavar="IMAGE",
        help="image with Python 3.11 to build from; by default one is made from Debian's packages",
    )
    command.add_argument(
        "--keep", action="store_true", help="leave the node running, for inspection by hand"
    )
