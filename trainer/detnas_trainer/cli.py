"""`detnas-trainer VERB URI`: run one job of a search, named by its own folder."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.process_setup import ensure_utf8_mode, guard_standard_streams
from detnas_trainer.process_setup import set_up_openmp

_VERBS = {
    "prepare": "read the data set and say what it holds",
    "base": "train the base detector, or take it from a checkpoint",
    "pool": "train one phase of the elastic teacher pool",
    "evaluate": "evolve a student, train it shortly under a teacher, score it",
    "subnets": "evaluate subnets of the pool, without training",
    "extract": "take a subnet out of the pool as a detector of its own, and score it",
    "finetune": "train the chosen student for longer",
    "baseline": "train what the chosen student is compared with",
    "test": "score base and students on the test split, once",
    "export": "write a detector as a folder that mmdet loads",
}
_ENDING = """\
examples:
  detnas-trainer base file:///data/store/local/searches/digits-1a2b3c4d/base
  detnas-trainer evaluate s3://bucket/store/team/searches/r101-1a2b3c4d/trials/0007

A job reads request.json in its folder and writes result.json there, last. Where there is a
result already nothing is done; a job that was stopped resumes from its checkpoint.

exit codes:
  0   the result is written; it says whether the candidate succeeded, is invalid, diverged or ran
      out of memory
  1   something around the job failed; start it again
  2   the verb or the URI is wrong
  44  data set or weights are not those that the search was prepared with; restore them, and start
      it again
  75  stopped on request with a checkpoint; start it again to resume
"""
_LAUNCH = """\
Run a verb in several processes, one for each GPU of this machine, or of several machines. Each
machine runs the same command, and finds in its environment:

  DETNAS_PROCESSES_PER_WORKER  processes on each machine; 1 unless set
  DETNAS_WORKERS               how many machines there are; 1 unless set
  JOB_COMPLETION_INDEX         of several, which this is, from 0
  DETNAS_RENDEZVOUS            of several, host:port of the machine of index 0, where they meet
  DETNAS_RENDEZVOUS_SECONDS    how long the others are waited for; 600 unless set
  DETNAS_PEER_SECONDS          how long one process may keep the others waiting within a step,
                               before it counts as lost; 600 unless set

The processes share out every batch and every evaluation. All end with the exit code of the one
that failed first; with 75 where the machines do not meet, or one is lost.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the job's code."""
    ensure_utf8_mode()
    guard_standard_streams()
    options = _parser().parse_args(arguments)
    set_up_openmp()
    if options.verb == "launch":
        # A peer that goes away is expected: no stack trace for each lost connection.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        from detnas_trainer.launching.launcher import launch

        _leave_at_once(launch(options.launched, options.uri))
    if options.verb == "replay":
        from detnas_trainer.jobs.replay import replay

        sys.exit(replay(options.replayed, options.uri))
    if options.verb == "describe":
        sys.exit(_describe(options.config, options.output))
    if options.verb == "look":
        _look()
        _leave_at_once(0)
    if options.verb == "machine":
        from detnas_trainer.machine import trainer_machine

        print(trainer_machine().model_dump_json(by_alias=True), flush=True)
        _leave_at_once(0)
    from detnas_trainer.jobs import run

    code = run(options.verb, options.uri)
    if code == ExitCode.INTERRUPTED:  # threads may still wait for a store's answer
        _leave_at_once(code)
    sys.exit(code)


def _describe(path: Path, output: str) -> int:
    from detnas_trainer.foreign.description import describe_file

    try:
        sections = {"spec": describe_file(path).sections()}
    except UserError as error:
        print(error, file=sys.stderr)
        return ExitCode.USAGE
    if output == "json":
        print(json.dumps(sections, indent=2))
    else:
        print(yaml.safe_dump(sections, sort_keys=False), end="")
    return 0


def _look() -> None:
    """Answer the request on standard input with a line of JSON; progress comes before, in lines."""
    from detnas.records.look import LookProgress, LookRequest
    from detnas_trainer.look import look

    def advance(done: int, total: int) -> None:
        print(LookProgress(done=done, total=total).model_dump_json(by_alias=True), flush=True)

    answer = look(LookRequest.model_validate_json(sys.stdin.read()), advance)
    print(answer.model_dump_json(by_alias=True), flush=True)


def _leave_at_once(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="detnas-trainer",
        description="Run one job of an architecture search. People start searches with `detnas "
        "run`; this is what it starts.",
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, meaning in _VERBS.items():
        command = verbs.add_parser(verb, help=meaning, description=f"{meaning.capitalize()}.")
        command.add_argument(
            "uri", metavar="URI", help="the job's own folder: file:///folder or s3://bucket/prefix"
        )
    launch = verbs.add_parser(
        "launch",
        help="run a verb in several processes, one for each GPU",
        description=_LAUNCH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.add_argument("launched", metavar="VERB", choices=_VERBS, help="what to run")
    launch.add_argument("uri", metavar="URI", help="the job's own folder")
    again = verbs.add_parser(
        "replay",
        help="take once more the step at which a job diverged",
        description="Take once more the step at which a job diverged, from the checkpoint before "
        "it, and print its losses. Nothing in the store changes.",
    )
    again.add_argument("replayed", metavar="VERB", choices=_VERBS, help="the job's verb")
    again.add_argument("uri", metavar="URI", help="the job's own folder")
    verbs.add_parser(
        "look",
        help="check a data set and time a training step, for `detnas init`",
        description="Read a request as JSON on standard input; print what is wrong with the data "
        "set, the GPUs, and how long a training step takes. `detnas init` starts it.",
    )
    verbs.add_parser(
        "machine",
        help="print the libraries, operators and GPUs of this machine, for `detnas doctor`",
        description="Import what jobs need, compute a little on every device, and print as JSON "
        "what works. `detnas doctor` starts it.",
    )
    described = verbs.add_parser(
        "describe",
        help="print an mmdet configuration as spec.base and spec.detector of a manifest",
        description="Print the detector of an mmdet configuration as the sections spec.base and "
        "spec.detector of a manifest; base.weights and base.train are yours to add. What is not "
        "supported is named by its path in the configuration. The file is run, as mmengine runs "
        "it.",
    )
    described.add_argument("config", metavar="CONFIG", type=Path, help="a configuration of mmdet 3")
    described.add_argument(
        "-o", "--output", choices=["yaml", "json"], default="yaml", help="yaml unless stated"
    )
    return parser


if __name__ == "__main__":
    main()
