"""Failed jobs: the result of one whose attempts are used up, and retries of the vital ones."""

from collections.abc import Iterator
from datetime import UTC, datetime

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.results import Outcome, Result
from detnas.records.verbs import RESULT_TYPES, VITAL_FINAL_VERBS, Verb
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists, MissingRecord


def load_result(store: Store, verb: Verb, folder: str) -> Result | None:
    """Read a job's result; None if there is none."""
    return load_record(store, keys.result_key(folder), RESULT_TYPES[verb])


def record_infrastructure_failure(
    store: Store,
    verb: Verb,
    folder: str,
    message: str,
    started: datetime,
    lost: float | None = None,
) -> Result:
    """End a job as Infrastructure, unless it has a result by then; return what is stored.

    Args:
        store: where the job is stored.
        verb: of the job.
        folder: key of its folder.
        message: how its attempts ended, for people.
        started: when the first of them began.
        lost: seconds of lost work; by default all since ``started``.
    """
    finished = datetime.now(UTC)
    seconds = (finished - started).total_seconds() if lost is None else lost
    result = RESULT_TYPES[verb](
        outcome=Outcome.INFRASTRUCTURE,
        message=message,
        attempt=0,
        started=started,
        finished=finished,
        seconds={"lost": round(seconds, 3)},
    )
    try:
        create_record(store, keys.result_key(folder), result)
    except AlreadyExists:
        stored = load_result(store, verb, folder)
        if stored is None:  # it was deleted between the two
            raise MissingRecord(store.uri, keys.result_key(folder)) from None
        return stored
    return result


def vital_failures(requests: SearchRequests, state: SearchState) -> dict[str, Result]:
    """Return the failed results that the search cannot continue with, by job folder.

    A trial's failure is an answer to the search. Setup, extraction, test and export are
    indispensable. A search can do without its fine-tuning, and an outcome caused by the student is
    final; one that was lost is not.
    """
    failed = {
        folder: result
        for folder, result in _vital(requests, state)
        if result is not None and result.outcome is not Outcome.SUCCEEDED
    }
    stages = state.final_stages
    for job in stages.lost if stages is not None else ():  # last: they hide what follows
        assert job.result is not None
        failed[job.folder] = job.result
    return failed


def _vital(requests: SearchRequests, state: SearchState) -> Iterator[tuple[str, Result | None]]:
    yield keys.prepare_folder(requests.search), state.prepare
    yield keys.base_folder(requests.search), state.base
    trains_pool = requests.existing_pool is None  # others repair a supplied one
    if trains_pool and state.prepare is not None and state.prepare.outcome is Outcome.SUCCEEDED:
        pool = requests.pool_folder(state.prepare)
        for number, phase in enumerate(state.pool):
            yield keys.pool_phase_folder(pool, number), phase
    best = state.history.summary.best
    if best is not None:
        yield keys.extraction_folder(requests.search, best.index), state.extraction
    for job in state.final_stages.jobs if state.final_stages is not None else ():
        if job.verb in VITAL_FINAL_VERBS:
            yield job.folder, job.result
