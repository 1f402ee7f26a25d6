"""Exports that a user asks for: of the winner in other formats, of a trial, of the entire front."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from detnas.errors import UserError
from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.lifecycle.baselines import card_baselines
from detnas.lifecycle.lineage import exported_lineage
from detnas.lifecycle.outcome import Identity, detectors_of
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.plan.digests import settings_digest
from detnas.plan.front import pareto_front
from detnas.plan.model_card import model_card
from detnas.plan.requests import Exportable, FinalRequests
from detnas.plan.winner import TrainedDetector, gain_over, trained_detector
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.exports import ExportSettings
from detnas.records.model_card import CardBaseline, ModelCard
from detnas.records.proposal import Step
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult
from detnas.store.artifacts import load_record


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """Which detectors of a search are exported; by default the one that it has exported.

    Attributes:
        trial: number of a trial; if it was fine-tuned, the student after that.
        front: all detectors on the Pareto front.
        base: the search's base.
        before_finetuning: the trial's student as the trial left it.
    """

    trial: int | None = None
    front: bool = False
    base: bool = False
    before_finetuning: bool = False


@dataclass(frozen=True, slots=True)
class LaterExport:
    """One detector to export.

    Attributes:
        name: of its folder: ``best``, ``base``, ``trial-0007``, or ``trial-0007-finetuned``.
        request: of the job.
        is_finetuned: it is a trial's student after its fine-tuning.
    """

    name: str
    request: ExportRequest
    is_finetuned: bool = False


def later_exports(
    search: StoredSearch, choice: ExportChoice, files: ExportSettings
) -> list[LaterExport]:
    """The requests for the chosen detectors; nothing is written.

    The same choice gives the same folders in the store while the cards would state the same, so
    what was exported before is found.

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
        named = _students(search, state, _wanted(state, choice))
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
    card = _card(search, state, stages.winner.detector, card_baselines(state, stages))
    return replace(Exportable.of_winner(stages.winner), card=card)


def _base(search: StoredSearch, state: SearchState) -> Exportable:
    base = _trained_base(state)
    return replace(Exportable.of_detector(base), card=_card(search, state, base))


def _trained_base(state: SearchState) -> TrainedDetector:
    assert state.scorer is not None
    assert state.base is not None
    return trained_detector(state.scorer, None, state.base, None)


def _card(
    search: StoredSearch,
    state: SearchState,
    detector: TrainedDetector,
    baselines: Iterable[CardBaseline] = (),
) -> ModelCard:
    assert state.scorer is not None
    assert state.prepare is not None
    spec = search.requests.spec
    lineage = exported_lineage(
        search.store, search.requests.search, detector, state.scorer, spec.teachers
    )
    base = _trained_base(state)
    return model_card(detector, base, state.prepare, lineage, spec.model_card, baselines)


def _stated(search: StoredSearch, state: SearchState, student: TrainedDetector) -> dict[str, Any]:
    """Card and gain of a student that is not the winner, whose gain is on the validation images."""
    assert state.prepare is not None
    images = state.prepare.val.images if state.prepare.val is not None else 0
    return {
        "card": _card(search, state, student),
        "gain": gain_over(_trained_base(state), student, images),
    }


def _student_of(
    search: StoredSearch, state: SearchState, entry: LedgerEntry
) -> TrainedDetector | None:
    """None for another search's trial, of whose result there is only the ledger's entry."""
    assert state.scorer is not None
    folder = search.requests.search
    key = keys.result_key(keys.trial_folder(folder, entry.index))
    if entry.proposal.step is Step.SUBNET:
        key = keys.result_key(keys.extraction_folder(folder, entry.index))
    result = load_record(search.store, key, DetectorResult)
    if result is None:
        return None
    return trained_detector(state.scorer, entry.index, result, entry.proposal.teacher)


def _wanted(state: SearchState, choice: ExportChoice) -> list[Identity]:
    """The chosen trials, None for the base, and whether their fine-tuned students are meant."""
    if choice.trial is None:
        front = pareto_front(detectors_of(state))
        return list(dict.fromkeys((one.trial, one.finetuned) for one in front))
    tuned = choice.trial in _finetuned(state) and not choice.before_finetuning
    return [(choice.trial, tuned)]


def _finetuned(state: SearchState) -> dict[int | None, TrainedDetector]:
    """The fine-tuned students by the numbers of their trials."""
    stages = state.final_stages
    return {one.trial: one for one in stages.all_finetuned} if stages is not None else {}


def _students(
    search: StoredSearch, state: SearchState, wanted: Sequence[Identity]
) -> dict[str, Exportable]:
    """What is exported, by the names of the folders."""
    tuned = _finetuned(state)
    plain = [trial for trial, is_tuned in wanted if trial is not None and not is_tuned]
    entries = {entry.index: entry for entry in _entries(search, state, plain)}
    found = {}
    for trial, is_tuned in wanted:
        if trial is None:
            found["base"] = _base(search, state)
        elif is_tuned:
            student = tuned[trial]
            facts = _stated(search, state, student)
            one = replace(Exportable.of_detector(student), **facts)
            found[f"trial-{trial:04d}{_FINETUNED}"] = one
        else:
            found[f"trial-{trial:04d}"] = _of_trial(search, state, entries[trial])
    return found


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
    student = _student_of(search, state, entry)
    return Exportable(
        shape=state.scorer.shape(entry.proposal.teacher),
        architecture=entry.architecture,
        weights=weights,
        resolution=entry.best.resolution,
        map=entry.best.map,
        **({} if student is None else _stated(search, state, student)),
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
    assert state.prepare is not None
    request = FinalRequests(search.requests).export_of(
        search.requests.search, replace(one, files=files), state.prepare, _trained_base(state)
    )
    # With all that the card states, which may change: a licence, or a score on test images.
    covered = settings_digest(request.model_dump(exclude={"key", "data"}))
    folder = keys.requested_export_folder(search.requests.search, name, covered[:_DIGITS])
    request = request.model_copy(update={"key": folder})
    return LaterExport(name, request, name.endswith(_FINETUNED))


_DIGITS = 8
_FINETUNED = "-finetuned"
"""End of a folder's name."""


def _check_weights(search: StoredSearch, state: SearchState, export: LaterExport) -> None:
    if search.store.size(export.request.weights.key) is not None:
        return
    front = ", ".join(str(point.index) for point in state.history.summary.front)
    raise UserError(
        f"{export.name}: its weights are no longer in {search.store.uri}",
        "spec.retention.weights: Needed keeps those of possible parents and of the Pareto front "
        f"(now trials {front or 'none'}); All keeps every trial's",
    )
