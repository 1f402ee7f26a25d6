"""The result of a job that has none of its own: its attempts are used up, so nobody else will."""

from collections.abc import Mapping
from datetime import UTC, datetime

from detnas.plan.stages import Verb
from detnas.records import keys
from detnas.records.results import (
    DetectorResult,
    ExportResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    Result,
)
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists, MissingRecord

RESULT_OF: Mapping[Verb, type[Result]] = {
    Verb.PREPARE: PrepareResult,
    Verb.BASE: DetectorResult,
    Verb.POOL: PoolPhaseResult,
    Verb.EVALUATE: DetectorResult,
    Verb.FINETUNE: DetectorResult,
    Verb.EXPORT: ExportResult,
}
"""What each verb's job finds."""


def load_result(store: Store, verb: Verb, folder: str) -> Result | None:
    """Read a job's result; none while there is none."""
    return load_record(store, keys.result_key(folder), RESULT_OF[verb])


def give_up(
    store: Store,
    verb: Verb,
    folder: str,
    message: str,
    started: datetime,
    lost: float | None = None,
) -> Result:
    """End a job as Infrastructure, unless it got a result in the meantime; return what stands.

    Args:
        store: where the job lies.
        verb: what it does.
        folder: key of its folder.
        message: for people: how its attempts ended.
        started: when the first of them began.
        lost: seconds of work that came to nothing; by default all since then.
    """
    finished = datetime.now(UTC)
    seconds = (finished - started).total_seconds() if lost is None else lost
    result = RESULT_OF[verb](
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
