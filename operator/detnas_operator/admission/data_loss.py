"""Data loss: work that is finished according to a search's status and that the store no longer has.

An absent result usually means that a job has not run. If the status lists its work as finished,
data is lost, and nothing of it is done again before a person accepts that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.record import count_trial_results
from detnas.lifecycle.session import SearchSession
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import AFTER_SETUP, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records import keys
from detnas.records.results import Outcome, Result
from detnas.resource.status import OUTCOME_FIELDS
from detnas.store import Store
from detnas_operator.cluster.labels import ACCEPT
from detnas_operator.cluster.objects import Status

_READY = "Ready"


@dataclass(frozen=True, slots=True)
class Finished:
    """How far a search has come: by its status, or by the store.

    Attributes:
        record: its search.json is written.
        prepared: the data set is checked.
        base: the base is trained.
        phases: phases of the pool that are trained.
        trials: its own trials that have ended.
        export: key of the exported student's folder; empty while there is none.
        tuned: by the status, the trial whose fine-tuned student was exported; by the store, None.
        untuned: by the store, the best trial if its fine-tuning has no result; by the status, None.
        over: by the status, the trials and the fine-tuning were over.
    """

    record: bool = False
    prepared: bool = False
    base: bool = False
    phases: int = 0
    trials: int = 0
    export: str = ""
    tuned: int | None = None
    untuned: int | None = None
    over: bool = False


def lost(reported: Finished, stored: Finished) -> Iterator[str]:
    """Yield what is finished according to the status (``reported``) and missing from the store."""
    if reported.prepared and not stored.prepared:
        yield "the data check (prepare/result.json)"
    if reported.base and not stored.base:
        yield "the base (base/result.json)"
    if (gone := reported.phases - stored.phases) > 0:
        yield f"{gone} of {reported.phases} trained phases of the teacher pool"
    if (gone := reported.trials - stored.trials) > 0:
        yield f"{gone} of {reported.trials} finished trials (trials/NNNN/result.json)"
    if stored.untuned is not None and _was_tuned(reported, stored):
        yield f"the fine-tuning of trial {stored.untuned}"
    if reported.export and not stored.export:
        yield f"the exported student ({reported.export}/result.json)"
    if reported.record and not stored.record:
        yield keys.SEARCH_RECORD


def _was_tuned(reported: Finished, stored: Finished) -> bool:
    """Whether the best trial was fine-tuned: it may have become the best after the status."""
    if reported.tuned is not None:
        return reported.tuned == stored.untuned
    return reported.over and reported.trials == stored.trials


def finished_by_status(status: Status, requests: SearchRequests, root: str) -> Finished:
    """Return what is finished according to a search's status; ``root`` is its store's URI."""
    counted = status.get("trials") or {}
    trials = sum(counted.get(outcome, 0) for outcome in OUTCOME_FIELDS.values())
    exported = status.get("exported") or {}
    uri = str(exported.get("uri") or "")
    phase = status.get("phase", "")
    base = "base" in status or trials > 0 or phase in AFTER_SETUP
    finetunes = requests.spec.finetune is not None
    return Finished(
        record=bool(status.get("folder")),
        prepared=base or bool((status.get("teachers") or {}).get("pool")),
        base=base,
        phases=len(requests.spec.teachers.trained_phases) if base else _phases(status, requests),
        trials=trials,
        export=uri.removeprefix(f"{root}/") if uri.startswith(f"{root}/") else "",
        tuned=exported.get("trial") if finetunes else None,
        over=finetunes and not exported and phase in (Phase.COMPARING, Phase.EXPORTING),
    )


def _phases(status: Status, requests: SearchRequests) -> int:
    progress = str((status.get("teachers") or {}).get("progress", ""))
    if progress == _READY:
        return len(requests.spec.teachers.trained_phases)
    done = progress.partition("/")[0]
    trained = int(done) if done.isdecimal() else 0
    # Earlier versions counted the phase that failed the search, which is set aside on resuming.
    return max(0, trained - (status.get("phase") == Phase.FAILED))


def _stored(
    session: SearchSession, reported: Finished, is_recorded: Callable[[], bool]
) -> Finished:
    """Return what the store has, as read just now, of what is finished by the status."""
    store, state = session.store, session.state
    return Finished(
        record=reported.record and is_recorded(),
        prepared=_succeeded(state.prepare),
        base=_succeeded(state.base),
        phases=sum(map(_succeeded, state.pool)),
        trials=sum(state.history.summary.outcomes.values()),
        export=reported.export if _has_export(store, state, reported.export) else "",
        untuned=_untuned(session),
    )


def _succeeded(result: Result | None) -> bool:
    return result is not None and result.outcome is Outcome.SUCCEEDED


def _has_export(store: Store, state: SearchState, folder: str) -> bool:
    stages = state.final_stages
    if stages is not None and stages.export is not None and stages.export_folder == folder:
        return True
    return bool(folder) and store.size(keys.result_key(folder)) is not None


def _untuned(session: SearchSession) -> int | None:
    """Return the best trial, if its fine-tuning has no result, nor one that was set aside."""
    stages = session.state.final_stages
    job = stages.finalists[0].job if stages is not None else None
    if stages is None or job is None or job.result is not None:
        return None
    folder = f"{job.folder}/"
    if any(key.removeprefix(folder).startswith("failed-") for key in session.store.list(folder)):
        return None
    return stages.best.trial


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
