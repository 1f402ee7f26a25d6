"""From a verb and a URI to a result and an exit code."""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.records.keys import result_key
from detnas.records.results import Outcome, Result
from detnas.records.verbs import RESULT_TYPES, Verb
from detnas.store.artifacts import create_record
from detnas.store.errors import AlreadyExists, StoreError
from detnas_trainer.jobs.folder import open_folder
from detnas_trainer.jobs.job import AlreadyEndedError, Job, opened_job
from detnas_trainer.jobs.logs import stored_log
from detnas_trainer.jobs.outcomes import Failure, classify
from detnas_trainer.jobs.termination_message import write_termination_message
from detnas_trainer.ranks.group import (
    from_first,
    is_first,
    is_lost_peer,
    rank_count,
    wait_for_all,
)
from detnas_trainer.training.interruption import Interrupted

log = logging.getLogger("detnas_trainer")

_FUNCTIONS = {
    Verb.PREPARE: "prepare",
    Verb.BASE: "base",
    Verb.POOL: "pool",
    Verb.EVALUATE: "student",
    Verb.SUBNETS: "subnets",
    Verb.EXTRACT: "extract",
    Verb.FINETUNE: "student",
    Verb.BASELINE: "student",
    Verb.TEST: "final_test",
    Verb.EXPORT: "export",
}
"""The function of each verb, in the module of the same name; only that one is imported."""


def run_job(verb: str, uri: str) -> ExitCode:
    """Run a job to its end, unless it has a result already."""
    try:
        folder = open_folder(verb, uri)
        ended = from_first(folder.outcome)
    except UserError as error:
        log.error("error: %s", error)  # noqa: TRY400 - the user's mistake needs no traceback
        write_termination_message(f"error: {error}")
        return ExitCode.FAILED if isinstance(error, StoreError) else ExitCode.USAGE
    if ended is not None:
        log.info("%s has its result already: %s", uri, ended)
        write_termination_message(f"{ended}: the result was there already")
        return ExitCode.DONE
    with opened_job(folder) as job, stored_log(folder.store, folder.key, job.attempt.number):
        return _attempt(Verb(verb), job)


def _attempt(verb: Verb, job: Job[Any]) -> ExitCode:
    log.info("%s: attempt %d", verb, job.attempt.number)
    try:
        result = _run_and_recheck(verb, job)
        if is_first():
            _end(job, result)
        wait_for_all()
    except AlreadyEndedError as ended:
        log.warning("%s", ended)
        write_termination_message(str(ended))
        return ExitCode.DONE
    except Exception as error:
        failure = classify(error)
        traceback = None if failure.expected else error
        log.error("%s", failure.message, exc_info=traceback)  # noqa: TRY400
        if not is_lost_peer(error):
            write_termination_message(f"{failure.outcome or failure.exit.words}: {failure.message}")
        if failure.outcome is not None:
            # Others may not have failed, and wait for this rank in vain: it writes for them.
            _end(job, _failed(job, RESULT_TYPES[verb], failure))
            return ExitCode.DONE if rank_count() == 1 else ExitCode.FAILED
        return failure.exit
    _summarize(result)
    return ExitCode.DONE


def _run_and_recheck(verb: Verb, job: Job[Any]) -> Result:
    """Do the job's work.

    Raises:
        DataChangedError: the data set changed meanwhile. Then neither its result nor its failure
            says anything about the candidate.
    """
    try:
        result = job_function(verb)(job)
    except (Interrupted, AlreadyEndedError):
        raise  # at once: the next attempt compares the data before it uses the checkpoint
    except Exception:
        job.check_data_again()
        raise
    job.check_data_again()
    return result


def job_function(verb: Verb) -> Callable[[Job[Any]], Result]:
    """The function that does the work of a verb's jobs."""
    name = _FUNCTIONS[verb]
    function = getattr(import_module(f"detnas_trainer.jobs.verbs.{name}"), name)
    return cast("Callable[[Job[Any]], Result]", function)


def _failed(job: Job[Any], kind: type[Result], failure: Failure) -> Result:
    return job.result(kind, outcome=failure.outcome, message=failure.message)


def _end(job: Job[Any], result: Result) -> None:
    """Write the result, after which the checkpoints are no longer needed.

    That of a training that diverged stays, so that its last step can be replayed.
    """
    try:
        create_record(job.folder.store, result_key(job.folder.key), result)
    except AlreadyExists:
        log.warning("another attempt was first: its result is kept, this one's is dropped")
    if result.outcome is not Outcome.DIVERGED:
        job.checkpoints.discard()


def _summarize(result: Result) -> None:
    spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.seconds.items())
    level = logging.INFO if result.outcome is Outcome.SUCCEEDED else logging.ERROR
    remark = f": {result.message}" if result.message else ""
    write_termination_message(f"{result.outcome}{remark}")
    log.log(level, "%s%s (seconds: %s)", result.outcome, remark, spent)
