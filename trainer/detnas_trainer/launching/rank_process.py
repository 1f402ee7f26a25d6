"""One rank of a job, started by torch's agent."""

import logging
import os
import sys

from detnas.exit_codes import ExitCode
from detnas_trainer.jobs import run
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.process_setup import die_with
from detnas_trainer.ranks.group import join
from detnas_trainer.training.interruption import exit_on_sigterm

log = logging.getLogger("detnas_trainer")


def main() -> None:
    """Run as the rank that the environment names, with the verb and URI of the command line."""
    die_with(os.getppid())
    set_up_logging()
    verb, uri = sys.argv[1:]
    with exit_on_sigterm():
        code = _as_rank(verb, uri)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the process group would make the end slow


def _as_rank(verb: str, uri: str) -> int:
    try:
        join()
    except RuntimeError as error:  # torch's errors of connections are such
        log.warning("the ranks did not meet: %s", error)
        return ExitCode.INTERRUPTED
    return run(verb, uri)


if __name__ == "__main__":
    main()
