"""Exports that a user asks for: of the winner in other formats, of a trial, of the entire front."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from detnas.errors import UserError
from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.lifecycle.baselines import card_baselines
from detnas.lifecycle.lineage import exported_lineage, trial_lineage
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.plan.digests import settings_digest
from detnas.plan.model_card import model_card
from detnas.plan.requests import Exportable, FinalRequests
from detnas.plan.winner import TrainedDetector, trained_detector
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.exports import ExportSettings
from detnas.records.model_card import CardBaseline, LineageStep, ModelCard
from detnas.records.proposal import Step
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult
from detnas.store.artifacts import load_record


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """Which detectors of a search are exported; by default the one that it has exported.

    Attributes:
        trial: number of a trial.
        front: all trials on the Pareto front.
        base: the search's base.
    """

    trial: int | None = None
    front: bool = False
    base: bool = False


@dataclass(frozen=True, slots=True)
class LaterExport:
    """One detector to export.

    Attributes:
        name: of its folder: ``best``, ``base``, or ``trial-0007``.
        request: of the job.
    """

    name: str
    request: ExportRequest


def later_exports(
    search: StoredSearch, choice: ExportChoice, files: ExportSettings
) -> list[LaterExport]:
    """The requests for the chosen detectors; nothing is written.

    The same choice gives the same folders in the store, so what was exported before is found.

    Raises:
        UserError: the search has no such detector, or its weights are not kept.
    """
    state = SearchReader(search.store, search.requests).read()
    if state.scorer is None or state.prepare is None or state.base is None:
        raise UserError(
            f"{search.uri} has no trained base yet, so there is nothing to export",
            "continue the search first",
        )
    if choice.base:
        named = {"base": _base(search, state)}
    elif choice.trial is None and not choice.front:
        named = {"best": _winner(search, state)}
    else:
        wanted = _wanted(state, choice)
        named = {
            f"trial-{entry.index:04d}": _of_trial(search, state, entry)
            for entry in _entries(search, state, wanted)
        }
    exports = [_export(search, state, name, one, files) for name, one in named.items()]
    for one in exports:
        _check_weights(search, state, one)
    return exports


def _winner(search: StoredSearch, state: SearchState) -> Exportable:
    stages = state.final_stages
    if stages is None or stages.winner is None:
        raise UserError(
            f"{search.uri} has chosen no detector yet",
            "finish the search, or name one with --trial or --front",
        )
    assert state.scorer is not None
    steps = exported_lineage(
        search.store, search.requests.search, stages, state.scorer, search.requests.spec.teachers
    )
    card = _card(search, state, stages.winner.detector, steps, card_baselines(state, stages))
    return replace(Exportable.of_winner(stages.winner), card=card)


def _base(search: StoredSearch, state: SearchState) -> Exportable:
    assert state.scorer is not None
    assert state.base is not None
    base = trained_detector(state.scorer, None, state.base, None)
    assert base.result.architecture is not None
    return Exportable(
        shape=base.shape,
        architecture=base.result.architecture,
        weights=base.result.weights,
        resolution=base.resolution,
        map=base.map,
        card=_card(search, state, base, ()),
    )


def _card(
    search: StoredSearch,
    state: SearchState,
    detector: TrainedDetector,
    lineage: Sequence[LineageStep],
    baselines: Iterable[CardBaseline] = (),
) -> ModelCard:
    assert state.scorer is not None
    assert state.prepare is not None
    assert state.base is not None
    base = trained_detector(state.scorer, None, state.base, None)
    settings = search.requests.spec.model_card
    return model_card(detector, base, state.prepare, lineage, settings, baselines)


def _card_of_trial(
    search: StoredSearch, state: SearchState, entry: LedgerEntry
) -> ModelCard | None:
    """None for another search's trial, of whose result there is only the ledger's entry."""
    folder, scorer = search.requests.search, state.scorer
    assert scorer is not None
    key = keys.result_key(keys.trial_folder(folder, entry.index))
    if entry.proposal.step is Step.SUBNET:
        key = keys.result_key(keys.extraction_folder(folder, entry.index))
    result = load_record(search.store, key, DetectorResult)
    if result is None:
        return None
    detector = trained_detector(scorer, entry.index, result, entry.proposal.teacher)
    teachers = search.requests.spec.teachers
    steps = trial_lineage(search.store, folder, entry.index, scorer, teachers)
    return _card(search, state, detector, steps)


def _wanted(state: SearchState, choice: ExportChoice) -> frozenset[int]:
    if choice.trial is not None:
        return frozenset({choice.trial})
    return frozenset(point.index for point in state.history.summary.front)


def _entries(search: StoredSearch, state: SearchState, wanted: Iterable[int]) -> list[LedgerEntry]:
    assert state.scorer is not None
    missing = set(wanted)
    found = []
    for entry in read_entries(search.store, search.requests.search, state.scorer):
        if entry.index in missing:
            missing.discard(entry.index)
            found.append(entry)
    if missing:
        last = state.history.summary.finished_count - 1
        raise UserError(
            f"{search.uri} has no finished trial {min(missing)}",
            f"finished trials: 0 to {last}" if last >= 0 else "no trial has finished",
        )
    if not found:
        raise UserError(f"{search.uri} has no trial on its front", "let trials finish first")
    return found


def _of_trial(search: StoredSearch, state: SearchState, entry: LedgerEntry) -> Exportable:
    assert state.scorer is not None
    if entry.best is None or entry.architecture is None:
        raise UserError(
            f"trial {entry.index} of {search.uri} ended as {entry.outcome}: it has no student",
            "name a trial that succeeded",
        )
    weights = entry.weights
    if entry.proposal.step is Step.SUBNET:
        weights = _extracted(search, entry.index)
    assert weights is not None
    return Exportable(
        shape=state.scorer.shape(entry.proposal.teacher),
        architecture=entry.architecture,
        weights=weights,
        resolution=entry.best.resolution,
        map=entry.best.map,
        card=_card_of_trial(search, state, entry),
    )


def _extracted(search: StoredSearch, index: int) -> Artifact:
    folder = keys.extraction_folder(search.requests.search, index)
    result = load_record(search.store, keys.result_key(folder), DetectorResult)
    if result is None or "weights" not in result.files:
        raise UserError(
            f"trial {index} of {search.uri} is a subnet of the pool without weights of its own",
            "the best subnet's are extracted when the search ends: leave --trial and --front out",
        )
    return result.weights


def _export(
    search: StoredSearch, state: SearchState, name: str, one: Exportable, files: ExportSettings
) -> LaterExport:
    assert state.scorer is not None
    assert state.prepare is not None
    assert state.base is not None
    covered = {"files": files, "weights": one.weights.sha256, "resolution": str(one.resolution)}
    folder = keys.requested_export_folder(
        search.requests.search, name, settings_digest(covered)[:_DIGITS]
    )
    base = trained_detector(state.scorer, None, state.base, None)
    request = FinalRequests(search.requests).export_of(
        folder, replace(one, files=files), state.prepare, base
    )
    return LaterExport(name, request)


_DIGITS = 8


def _check_weights(search: StoredSearch, state: SearchState, export: LaterExport) -> None:
    if search.store.size(export.request.weights.key) is not None:
        return
    front = ", ".join(str(point.index) for point in state.history.summary.front)
    raise UserError(
        f"{export.name}: its weights are no longer in {search.store.uri}",
        "spec.retention.weights: Needed keeps those of possible parents and of the Pareto front "
        f"(now trials {front or 'none'}); All keeps every trial's",
    )
