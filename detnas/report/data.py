"""All data of a report, read from the store; figures and tables use only this."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from detnas.architecture import Architecture
from detnas.ledger import LedgerEntry, Summary, fold, lineage, read_entries
from detnas.lifecycle.reading.final_stages import FinalStages
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.search_status import search_status
from detnas.lifecycle.status import OnTest, SearchStatus
from detnas.plan.front import MeasuredDetector, measured_detectors, pareto_front
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import Phase
from detnas.plan.winner import TrainedDetector
from detnas.records import keys
from detnas.records.artifacts import COMPARISON, MAX_COMPARISON_BYTES
from detnas.records.proposal import Proposal, Step
from detnas.records.results import DetectorResult, ExportResult, Latency, PoolPhaseResult, Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.score import ResolutionScore, Scorer, best
from detnas.spec.manifest import SearchSpec
from detnas.spec.search import Strategy
from detnas.spec.teachers import TeacherChoice
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.teachers import Teacher

_UNNAMED = {
    TeacherChoice.PER_ITERATION: "drawn for each step",
    TeacherChoice.EXTERNAL: "external",
}


@dataclass(frozen=True, slots=True)
class ReportDetector:
    """A detector, scored against the base.

    Attributes:
        name: on the page.
        architecture: its backbone.
        scored: one per resolution.
        flops: of the entire detector, for one image at the base resolution.
        parameters: of the entire detector.
        latency: of one image at its best resolution: that which H counts, or as the export measured
            it.
        on_test: at that resolution, on the test images; None if it was not scored there.
    """

    name: str
    architecture: Architecture
    scored: tuple[ResolutionScore, ...]
    flops: int
    parameters: int
    latency: Latency | None = None
    on_test: OnTest | None = None

    @property
    def best(self) -> ResolutionScore:
        """The resolution of highest score."""
        return best(self.scored)


@dataclass(frozen=True, slots=True)
class LineageStep:
    """One step of the lineage from the base to the winner.

    Attributes:
        detector: the step's result.
        proposal: the trial; None for the base and the fine-tuning.
        teacher: of the pool, of its training; None for the base, a subnet of the pool, under the
            external teacher, and if one was drawn for each step.
        notes: of the trainer.
    """

    detector: ReportDetector
    proposal: Proposal | None = None
    teacher: Teacher | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """The state and results of a search.

    Attributes:
        status: of the search.
        spec: its settings.
        base: the base detector; None while base and teachers are trained.
        best: the best trial's student.
        best_index: its number.
        exported: the exported detector.
        entries: finished trials, by number.
        in_flight: trials without a result.
        front: the Pareto front of the base, the trials and the fine-tuned students, by increasing
            FLOPs.
        lineage: from the base to the winner.
        pool: finished phases of the teachers' training.
        picture: a JPEG of validation images with the boxes of base and student; empty without.
    """

    status: SearchStatus
    spec: SearchSpec
    base: ReportDetector | None = None
    best: ReportDetector | None = None
    best_index: int | None = None
    exported: ReportDetector | None = None
    entries: tuple[LedgerEntry, ...] = ()
    in_flight: tuple[Proposal, ...] = ()
    front: tuple[MeasuredDetector, ...] = ()
    lineage: tuple[LineageStep, ...] = ()
    pool: tuple[PoolPhaseResult, ...] = ()
    picture: bytes = b""

    @property
    def unnamed_teacher(self) -> str:
        """What to say instead of the teacher that a proposal names; empty if that one teaches."""
        if self.spec.search.strategy is Strategy.PIPELINE:
            return "none"
        return _UNNAMED.get(self.spec.teachers.choice, "")

    @property
    def complete(self) -> bool:
        """Whether the search has ended, so that the page no longer changes."""
        return self.status.phase is Phase.SUCCEEDED

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Sizes at which detectors are scored, smallest first."""
        return tuple(sorted(self.spec.resolutions, key=lambda resolution: resolution.pixels))


def gather(store: Store, requests: SearchRequests) -> ReportData:
    """Read a search in any phase.

    Args:
        store: that contains it.
        requests: has its folders and settings.

    Raises:
        UserError: a record cannot be read.
    """
    state = SearchReader(store, requests).read()
    status = search_status(StoredSearch(store, requests), state, lambda _folder: None)
    data = ReportData(status, requests.spec, pool=state.pool)
    if state.scorer is None:
        return data
    entries = tuple(read_entries(store, requests.search, state.scorer))
    data = _with_trials(data, state, state.scorer, entries)
    data = replace(data, lineage=_lineage(store, requests.search, data, state))
    return _with_export(data, state, store)


def _with_trials(
    data: ReportData, state: SearchState, scorer: Scorer, entries: tuple[LedgerEntry, ...]
) -> ReportData:
    # Summarise the same entries: trials may have ended since the state was read.
    summary = fold(Summary(top_k=data.spec.search.max_parents), entries)
    top = summary.best
    finished = {entry.index for entry in entries}
    stages = state.final_stages
    finetuned = stages.all_finetuned if stages is not None else ()
    return replace(
        data,
        base=_detector("base", scorer, scorer.architecture, scorer.scores),
        best=replace(_student(top), name=f"best trial: {top.index}") if top else None,
        best_index=top.index if top else None,
        entries=entries,
        in_flight=tuple(p for p in state.history.in_flight if p.index not in finished),
        front=pareto_front(measured_detectors(scorer, summary.front, finetuned=finetuned)),
    )


def _detector(
    name: str,
    scorer: Scorer,
    architecture: Architecture,
    scores: Sequence[Score],
    teacher: Teacher | None = None,
    upgraded: DetectorShape | None = None,
) -> ReportDetector:
    scored = scorer.score(architecture, scores, teacher, upgraded)
    return ReportDetector(
        name, architecture, scored.scores, scored.flops, scored.parameters, scored.best.time
    )


def _student(entry: LedgerEntry) -> ReportDetector:
    assert entry.architecture is not None
    assert entry.flops is not None
    assert entry.parameters is not None
    name = f"trial {entry.index}"
    assert entry.best is not None
    return ReportDetector(
        name,
        entry.architecture,
        entry.scores,
        entry.flops,
        entry.parameters,
        entry.best.time,
    )


def _lineage(
    store: Store, search: str, data: ReportData, state: SearchState
) -> tuple[LineageStep, ...]:
    stages, scorer = state.final_stages, state.scorer
    if data.best_index is None or data.base is None or scorer is None:
        return ()
    steps = [LineageStep(data.base, notes=state.base.notes if state.base else ())]
    winner = stages.winner.detector if stages is not None and stages.winner is not None else None
    trial = data.best_index if winner is None or winner.trial is None else winner.trial
    for entry in lineage({e.index: e for e in data.entries}, trial):
        key = keys.result_key(keys.trial_folder(search, entry.index))
        trained = entry.proposal.step is not Step.SUBNET
        result = load_record(store, key, DetectorResult) if trained else None
        notes = result.notes if result else ()
        teacher = entry.proposal.teacher if trained and not data.unnamed_teacher else None
        steps.append(LineageStep(_student(entry), entry.proposal, teacher, notes))
    finetuned = stages.finetuned if stages is not None else None
    if winner is not None and trial != data.best_index:  # of another candidate, or tuned before
        finetuned = winner if winner.tuned else None
    if finetuned is not None:
        teachers, tuned = data.spec.teachers, _finetuning(scorer, finetuned)
        if data.spec.searches_pool:
            tuned = replace(tuned, teacher=teachers.space.largest)
        unnamed = teachers.external or teachers.choice is TeacherChoice.PER_ITERATION
        steps.append(replace(tuned, teacher=None) if unnamed else tuned)
    return tuple(steps)


def _finetuning(scorer: Scorer, finetuned: TrainedDetector) -> LineageStep:
    result = finetuned.result
    return LineageStep(
        _trained("fine-tuning", scorer, finetuned), teacher=finetuned.teacher, notes=result.notes
    )


def _trained(name: str, scorer: Scorer, trained: TrainedDetector) -> ReportDetector:
    result = trained.result
    assert result.architecture is not None
    return _detector(
        name, scorer, result.architecture, result.scores, trained.teacher, result.shape
    )


def _with_export(data: ReportData, state: SearchState, store: Store) -> ReportData:
    stages, scorer = state.final_stages, state.scorer
    if not data.complete or stages is None or scorer is None or data.base is None:
        return data
    assert stages.export is not None
    status = data.status
    base = replace(
        data.base,
        latency=data.base.latency or stages.export.base_latency,
        on_test=status.base.on_test if status.base else None,
    )
    exported = _exported(scorer, stages)
    if status.exported is not None:
        exported = replace(exported, on_test=status.exported.on_test)
    picture = _picture(store, stages.export)
    return replace(data, base=base, exported=exported, picture=picture)


def _picture(store: Store, export: ExportResult) -> bytes:
    """The export's picture of both detectors; empty if there is none that can be shown."""
    artifact = export.files.get(COMPARISON)
    if artifact is None or artifact.size > MAX_COMPARISON_BYTES:
        return b""
    stored = store.get(artifact.key)
    known = stored is not None and hashlib.sha256(stored.data).hexdigest() == artifact.sha256
    return stored.data if stored is not None and known else b""


def _exported(scorer: Scorer, stages: FinalStages) -> ReportDetector:
    assert stages.winner is not None
    assert stages.export is not None
    winner = stages.winner.detector
    name = "exported: the base" if winner.is_base else "exported"
    found = _trained(name, scorer, winner)
    return replace(found, latency=found.latency or stages.export.student_latency)
