"""The jobs: each reads its request, works, and writes its result last.

Importing this package imports neither torch nor mmdet; running a job does.
"""

import logging
import sys

from detnas.exit_codes import ExitCode
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.jobs.termination_message import write_termination_message
from detnas_trainer.training.interruption import exit_on_sigterm


def run(verb: str, uri: str) -> int:
    """Run the job at a URI and return the process's exit code; nothing is raised.

    Returns:
        0 a result is written, whatever its outcome; 2 the verb or the URI is wrong, 44 the data set
        has changed, 75 a checkpoint is written and the job is to be resumed, and 1 anything
        else.
    """
    try:
        set_up_logging()
        with exit_on_sigterm():  # importing torch takes a while, and there is nothing to save
            from detnas_trainer.jobs.running import run_job

            return int(run_job(verb, uri))
    except (KeyboardInterrupt, SystemExit):
        return ExitCode.FAILED
    except BaseException as error:
        logging.getLogger("detnas_trainer").exception("the job failed")
        write_termination_message(f"Failed: {type(error).__name__}: {error}")
        return ExitCode.FAILED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
