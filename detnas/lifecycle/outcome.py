"""The front of a search, its exports and its recommendations, from its state and its store."""

from collections.abc import Iterable, Sequence

from detnas.ledger.entry import LedgerEntry
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.plan.front import MeasuredDetector, measured_detectors
from detnas.plan.latencies import FinishedExport, exported_latencies
from detnas.plan.recommendation import MeasuredLatency, Recommendation, recommend
from detnas.records import keys
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult, ExportResult, Outcome
from detnas.spec.objectives import DetectorLimits
from detnas.store.artifacts import load_record

Identity = tuple[int | None, bool]
"""A detector's trial, None for the base, and whether it is fine-tuned."""


def detectors_of(
    state: SearchState, trials: Sequence[LedgerEntry] = ()
) -> tuple[MeasuredDetector, ...]:
    """Return the base, the front and the best of the trials, and the fine-tuned students.

    Args:
        state: of the search.
        trials: further ones.
    """
    tuned = state.final_stages.all_finetuned if state.final_stages is not None else ()
    summary = state.history.summary
    return measured_detectors(state.scorer, summary.front, (*summary.top, *trials), tuned)


def own_exports(state: SearchState) -> list[FinishedExport]:
    """Return the export with which the search ends; nothing before that."""
    stages = state.final_stages
    if stages is None or stages.export is None or stages.winner is None:
        return []
    export, winner = stages.export, stages.winner.detector
    if export.outcome is not Outcome.SUCCEEDED:
        return []
    return [FinishedExport(winner.trial, winner.tuned, winner.resolution, export)]


def stored_exports(
    search: StoredSearch, state: SearchState, trials: Sequence[LedgerEntry]
) -> list[FinishedExport]:
    """Read every export of a search, those that users asked for among them, from its store.

    Args:
        search: the search.
        state: of the search.
        trials: all that have finished.
    """
    known = _detectors(state, trials)
    found = []
    for folder in _export_folders(search):
        request = load_record(search.store, keys.request_key(folder), ExportRequest)
        result = load_record(search.store, keys.result_key(folder), ExportResult)
        if request is None or result is None or result.outcome is not Outcome.SUCCEEDED:
            continue
        if request.weights.sha256 in known:
            identity = known[request.weights.sha256]
            found.append(FinishedExport(*identity, request.resolution, result))
    return found


def recommendations(
    state: SearchState,
    objectives: Iterable[DetectorLimits],
    latencies: Iterable[MeasuredLatency] | None = None,
    trials: Sequence[LedgerEntry] = (),
) -> tuple[Recommendation, ...]:
    """Return the detector for each objective.

    Args:
        state: of the search.
        objectives: what detectors are needed for.
        latencies: of its detectors; by default those that its own export measured.
        trials: beside the front and the best, such as those that were exported.
    """
    detectors = detectors_of(state, trials)
    if latencies is None:
        latencies = exported_latencies(own_exports(state))
    measured = tuple(latencies)
    return tuple(recommend(detectors, measured, limits) for limits in objectives)


def _export_folders(search: StoredSearch) -> list[str]:
    """Of the search's own exports and of those that users asked for."""
    root = search.requests.search
    parents = (f"{root}/students", f"{root}/exports")
    return [
        f"{parent}/{name}"
        for parent in parents
        for name in sorted(search.store.folders(f"{parent}/"))
    ]


def _detectors(state: SearchState, trials: Sequence[LedgerEntry]) -> dict[str, Identity]:
    """The detectors of a search by the digests of their weights."""
    found: dict[str, Identity] = {}
    for entry in trials:
        if entry.weights is not None:
            found[entry.weights.sha256] = (entry.index, False)
    best = state.history.summary.best
    if state.extraction is not None and best is not None:
        found |= _weights(state.extraction, (best.index, False))
    for tuned in state.final_stages.all_finetuned if state.final_stages is not None else ():
        found |= _weights(tuned.result, (tuned.trial, True))
    if state.base is not None:
        found |= _weights(state.base, (None, False))
    return found


def _weights(result: DetectorResult, identity: Identity) -> dict[str, Identity]:
    return {result.weights.sha256: identity} if "weights" in result.files else {}
