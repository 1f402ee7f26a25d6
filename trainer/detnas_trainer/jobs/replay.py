"""Replays the step at which a training diverged, and changes nothing in the store."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.records.results import Attempt
from detnas.records.verbs import Verb
from detnas.store import open_store
from detnas_trainer.jobs.folder import JobFolder, open_folder, scratch_folder
from detnas_trainer.jobs.job import Activities, Job
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.jobs.running import job_function
from detnas_trainer.jobs.verbs.training import Replayed
from detnas_trainer.training.checkpoint import Checkpoints
from detnas_trainer.training.gradients import DivergedError
from detnas_trainer.training.interruption import Interruption
from detnas_trainer.training.progress import ProgressReporter

log = logging.getLogger("detnas_trainer")


def replay(verb: str, uri: str) -> ExitCode:
    """Take the step after a job's last checkpoint, with autograd's detection of anomalies."""
    set_up_logging()
    try:
        folder = open_folder(verb, uri)
        with _opened(folder) as job:
            log.info("replaying the step at iteration %d", job.attempt.resumed_at)
            job_function(Verb(verb))(job)
    except DivergedError as error:
        log.info("diverged again: %s", error)
    except Replayed as replayed:
        losses = ", ".join(f"{name} {value:.4g}" for name, value in replayed.losses.items())
        log.info("the step is finite here: %s", losses)
    except UserError as error:
        log.error("error: %s", error)  # noqa: TRY400 - the user's mistake needs no traceback
        return ExitCode.USAGE
    return ExitCode.DONE


@contextmanager
def _opened(folder: JobFolder[Any]) -> Iterator[Job[Any]]:
    """A job at its last checkpoint that is no attempt and reports to nobody."""
    with scratch_folder() as scratch:
        checkpoints = Checkpoints(folder.store, folder.key, scratch, time.monotonic)
        checkpoint = checkpoints.newest()
        if checkpoint is None:
            raise UserError(
                f"{folder.store.uri}/{folder.key} has no checkpoint",
                "give a job that diverged: the others' are deleted with their result",
            )
        attempt = Attempt(
            number=checkpoint.attempt, started=datetime.now(UTC), resumed_at=checkpoint.iteration
        )
        job = Job(
            folder,
            attempt,
            checkpoint,
            checkpoints,
            Activities(time.monotonic),
            Interruption(),
            ProgressReporter(open_store(scratch.as_uri()), "progress.json", time.monotonic),
            scratch,
            replays=True,
        )
        with job.held:
            yield job
