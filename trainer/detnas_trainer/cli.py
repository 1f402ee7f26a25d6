"""`detnas-trainer VERB URI`: run one job of a search, named by its own folder."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from detnas.exit_codes import ExitCode
from detnas.process_setup import ensure_utf8_mode, guard_standard_streams
from detnas_trainer.process_setup import set_up_openmp

_VERBS = {
    "prepare": "read the data set and say what it holds",
    "base": "train the base detector, or take it from a checkpoint",
    "pool": "train one phase of the elastic teacher pool",
    "evaluate": "evolve a student, train it shortly under a teacher, score it",
    "finetune": "train the chosen student for longer",
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
Run a verb on several nodes. Each of them runs the same command, and finds in its environment:

  DETNAS_WORKERS               how many nodes there are
  JOB_COMPLETION_INDEX         which of them this is, from 0
  DETNAS_RENDEZVOUS            host:port of the node of index 0, where they meet
  DETNAS_PROCESSES_PER_WORKER  processes on each node; 1 unless set
  DETNAS_RENDEZVOUS_SECONDS    how long the others are waited for; 600 unless set
  DETNAS_PEER_SECONDS          without a heartbeat, until a node counts as lost; 20 unless set

Training is not distributed yet: rank 0 does the entire job, the other ranks meet it and wait.
All end with rank 0's exit code; with 75 where the nodes do not meet, or one is lost.
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
    from detnas_trainer.jobs import run

    code = run(options.verb, options.uri)
    if code == ExitCode.INTERRUPTED:  # threads may still wait for a store's answer
        _leave_at_once(code)
    sys.exit(code)


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
        help="run a verb on several nodes, of which this is one",
        description=_LAUNCH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.add_argument("launched", metavar="VERB", choices=_VERBS, help="what to run")
    launch.add_argument("uri", metavar="URI", help="the job's own folder")
    return parser


if __name__ == "__main__":
    main()
