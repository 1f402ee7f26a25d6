"""Data loss: work that is finished according to a search's status and that the store no longer has.

An absent result usually means that a job has not run. If the status lists its work as finished,
data is lost, and nothing of it is done again before a person accepts that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from detnas.lifecycle.reading.final_stages import Finalist, FinalStages
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.record import count_trial_results
from detnas.lifecycle.search_status import compared_detectors
from detnas.lifecycle.session import SearchSession
from detnas.reasons import Reason, ReasonCode
from detnas.records import keys
from detnas.records.results import Outcome, Result
from detnas.records.verbs import Verb
from detnas.store import Store
from detnas_operator.admission.finished_work import TUNED, Finished, finished_by_status, lost
from detnas_operator.cluster.labels import ACCEPT
from detnas_operator.cluster.objects import Status


def _stored(
    session: SearchSession, reported: Finished, is_recorded: Callable[[], bool]
) -> Finished:
    """Return what the store has, as read just now, of what is finished by the status."""
    store, state = session.store, session.state
    found = Finished(
        record=reported.record and is_recorded(),
        prepared=_succeeded(state.prepare),
        base=_succeeded(state.base),
        phases=sum(map(_succeeded, state.pool)),
        trials=sum(state.history.summary.outcomes.values()),
        export=reported.export if _has_export(store, state, reported.export) else "",
        unextracted=_unextracted(session),
    )
    stages = state.final_stages
    return found if stages is None else replace(found, **_missing_final(session, stages))


def _unextracted(session: SearchSession) -> int | None:
    due = session.plan().due
    return next((job.number for job in due if job.verb is Verb.EXTRACT), None)


def _missing_final(session: SearchSession, stages: FinalStages) -> dict[str, Any]:
    """What the stages after the trials lack."""
    untuned = [one for one in stages.finalists if one.job is not None and one.job.result is None]
    trained = {f"trial {one.student.trial}{TUNED}" for one in untuned}
    trained |= {one.baseline.words for one in stages.baselines if one.job.result is None}
    is_due = stages.test is not None and stages.test.result is None
    rows = compared_detectors(session.state) if is_due else ()
    best = stages.finalists[0]
    is_lost = best in untuned and not _has_failed(session, best)
    return {
        "untuned": best.student.trial if is_lost else None,
        "trained": frozenset(trained),
        "tested": frozenset(one.name for one in rows if one.detector is not None),
    }


def _succeeded(result: Result | None) -> bool:
    return result is not None and result.outcome is Outcome.SUCCEEDED


def _has_export(store: Store, state: SearchState, folder: str) -> bool:
    stages = state.final_stages
    if stages is not None and stages.export is not None and stages.export_folder == folder:
        return True
    return bool(folder) and store.size(keys.result_key(folder)) is not None


def _has_failed(session: SearchSession, finalist: Finalist) -> bool:
    """Whether a fine-tuning was set aside, to be tried again."""
    assert finalist.job is not None
    folder = f"{finalist.job.folder}/"
    return any(key.removeprefix(folder).startswith("failed-") for key in session.store.list(folder))


class DataLostError(Exception):
    """The store lacks what is finished according to the status.

    Attributes:
        reason: what is lost, and what to do.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


def accepted_loss(
    session: SearchSession,
    status: Status,
    accepts: str,
    namespace: str,
    running: Sequence[str],
    is_recorded: Callable[[], bool],
) -> str:
    """Return the token of a data loss that a person has just accepted; empty if nothing is lost.

    Args:
        session: its state was read just now.
        status: of the search's resource.
        accepts: token that the resource's annotation has.
        namespace: of the search.
        running: names of its Jobs that have not ended.
        is_recorded: whether its search.json is in the store.

    Raises:
        DataLostError: data is lost, and this loss is not accepted.
    """
    missing = _missing(session, status, is_recorded)
    if not missing:
        return ""
    value = token(missing, str(status.get("acceptedDataLoss", "")))
    if value != accepts:
        uri = f"{session.store.uri}/{session.requests.search}"
        raise DataLostError(data_lost(missing, uri, namespace, running, value))
    return value


def _missing(
    session: SearchSession, status: Status, is_recorded: Callable[[], bool]
) -> tuple[str, ...]:
    store, requests = session.store, session.requests
    reported = finished_by_status(status, requests, store.uri)
    stored = _stored(session, reported, is_recorded)
    missing = tuple(lost(reported, stored))
    if not missing:
        return ()
    pool = str((status.get("teachers") or {}).get("pool") or "").removeprefix(f"{store.uri}/")
    exact = _counted_one_by_one(store, requests.search, "" if "://" in pool else pool, stored)
    return tuple(lost(reported, exact)) or missing


def _counted_one_by_one(store: Store, search: str, pool: str, stored: Finished) -> Finished:
    """Count what is stored, for a message: the state of a search without its base has no more."""
    trials = count_trial_results(store, search)
    phases = stored.phases
    while pool and store.size(keys.result_key(keys.pool_phase_folder(pool, phases))) is not None:
        phases += 1
    has_base = store.size(keys.result_key(keys.base_folder(search))) is not None
    return replace(
        stored, trials=max(trials, stored.trials), phases=phases, base=stored.base or has_base
    )


def token(missing: Sequence[str], accepted: str) -> str:
    """Return what a person writes to accept this loss; depends on the token ``accepted`` last."""
    named = [accepted, *(name for name in missing if name != keys.SEARCH_RECORD)]
    return sha256("\n".join(named).encode()).hexdigest()[:8]


def data_lost(
    missing: Sequence[str], uri: str, namespace: str, running: Sequence[str], value: str
) -> Reason:
    """Return what is lost, and what to do, for the status.

    Args:
        missing: what is lost.
        uri: of the search's folder.
        namespace: of the search.
        running: names of its Jobs that have not ended.
        value: by which the loss is accepted.
    """
    jobs = ""
    if running:
        named = ", ".join(running[:3]) + (f" and {len(running) - 3} more" if running[3:] else "")
        jobs = f" (running: {named}; suspend the search to stop)"
    search = uri.rpartition("/")[2].rpartition("-")[0]
    return Reason(
        ReasonCode.DATA_LOST,
        # The command comes first: the status cuts messages that are long.
        "the store no longer has what the search had finished. Restore it from a backup or the "
        "bucket's versions, and the search continues; or accept that it is done again: kubectl "
        f"annotate detnas {search} --namespace {namespace} --overwrite {ACCEPT}={value}; "
        f"no job is started{jobs}; lost from {uri}: {', '.join(missing)}",
    )
