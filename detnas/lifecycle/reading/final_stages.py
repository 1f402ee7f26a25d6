"""The final stages of a search, after its trials, read from the store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from detnas.ledger.entry import LedgerEntry, is_complete
from detnas.lifecycle.reading.results import Consumers, VerifiedResults
from detnas.plan.winner import (
    TrainedDetector,
    Winner,
    choose_winner,
    compare_with_base,
    trained_detector,
)
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Step
from detnas.records.requests import ExportRequest, StudentRequest
from detnas.records.results import DetectorResult, ExportResult, Outcome
from detnas.score import Scorer
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import MissingRecord


@dataclass(frozen=True, slots=True)
class FinalStages:
    """Fine-tuning and export, which follow the trials.

    Attributes:
        best: the best trial's student.
        finetune_folder: key of the folder of its fine-tuning.
        finetune: the fine-tuning's result, if there is one.
        finetuned: the fine-tuned student, if it succeeded.
        winner: what is exported; None until the fine-tuning has ended.
        export_folder: key of the winner's export.
        export: the export's result, if there is one.
    """

    best: TrainedDetector
    finetune_folder: str
    finetune: DetectorResult | None = None
    finetuned: TrainedDetector | None = None
    winner: Winner | None = None
    export_folder: str = ""
    export: ExportResult | None = None

    @property
    def lost_finetune(self) -> DetectorResult | None:
        """The fine-tuning's result if it failed for reasons other than the student."""
        lost = self.finetune is not None and self.finetune.outcome is Outcome.INFRASTRUCTURE
        return self.finetune if lost else None


@dataclass(frozen=True, slots=True)
class FinalStagesReader:
    """Reads the final stages of one search.

    Attributes:
        store: where the search is stored.
        search: key of its folder.
        results: reads the jobs' results.
        consumers: knows what was built on them.
        finetunes: whether a fine-tuning is requested.
    """

    store: Store
    search: str
    results: VerifiedResults
    consumers: Consumers
    finetunes: bool

    def read(
        self,
        top: Sequence[LedgerEntry],
        scorer: Scorer,
        base: DetectorResult,
        before: FinalStages | None,
    ) -> FinalStages:
        """Return the final stages so far.

        Args:
            top: the best trials, best first; at least one.
            scorer: scores them against the base.
            base: the base's result, which is exported if no student is better.
            before: what was read before; what is new is added.
        """
        best = top[0]
        known = before is not None and before.best.trial == best.index
        stages = before if before is not None and known else self._begun(best, scorer)
        if stages.finetune is None and self.finetunes:
            has_export = partial(self.consumers.of_finetune, best.index, (stages.best.result, base))
            finetune = self.results.read(
                stages.finetune_folder, DetectorResult, has_consumers=has_export
            )
            if finetune is None:
                return stages
            stages = replace(stages, finetune=finetune)
        if stages.winner is None:
            stages = self._with_winner(stages, top[1:], scorer, base)
        if stages.export is None:
            export = self.results.read(stages.export_folder, ExportResult)
            stages = replace(stages, export=export)
        return stages

    def _begun(self, entry: LedgerEntry, scorer: Scorer) -> FinalStages:
        key = keys.result_key(self._detector_folder(entry))
        result = load_record(self.store, key, DetectorResult)
        if result is None:  # it was read before
            raise MissingRecord(self.store.uri, key)
        chosen = trained_detector(scorer, entry.index, result, entry.proposal.teacher)
        return FinalStages(chosen, self._finetune_folder(entry.index, result.weights))

    def _detector_folder(self, entry: LedgerEntry) -> str:
        """The folder with a trial's detector: its own, or that of its subnet's extraction."""
        of_subnet = entry.proposal.step is Step.SUBNET
        folder = keys.extraction_folder if of_subnet else keys.trial_folder
        return folder(self.search, entry.index)

    def _with_winner(
        self,
        stages: FinalStages,
        others: Sequence[LedgerEntry],
        scorer: Scorer,
        base: DetectorResult,
    ) -> FinalStages:
        best, finetune, finetuned, failure = stages.best, stages.finetune, None, ""
        if finetune is not None and finetune.outcome is Outcome.SUCCEEDED:
            finetuned = trained_detector(scorer, best.trial, finetune, best.teacher)
        elif finetune is not None:
            failure = f"{finetune.outcome}: {finetune.message}"
        earlier = self._finetuned_before(stages, others, scorer) if self.finetunes else ()
        student = choose_winner(best, finetuned, failure, earlier)
        winner = compare_with_base(
            student, trained_detector(scorer, None, base, None), self._has_export
        )
        folder = self._export_folder(winner.detector)
        return replace(stages, finetuned=finetuned, winner=winner, export_folder=folder)

    def _has_export(self, student: TrainedDetector) -> bool:
        return self.store.size(keys.request_key(self._export_folder(student))) is not None

    def _finetuned_before(
        self, stages: FinalStages, others: Sequence[LedgerEntry], scorer: Scorer
    ) -> tuple[TrainedDetector, ...]:
        """Students fine-tuned when the search had fewer trials and another best trial."""
        folders = {f"{self.search}/{name}" for name in self.store.folders(f"{self.search}/")}
        first = keys.finetune_folder(self.search)
        earlier = {one for one in folders if one.startswith(first)} - {stages.finetune_folder}
        found = []
        for entry in others if earlier else ():
            folder = self._finetune_folder(entry.index, self._weights(entry))
            if folder not in earlier:
                continue
            result = load_record(self.store, keys.result_key(folder), DetectorResult)
            if result and result.outcome is Outcome.SUCCEEDED and is_complete(result):
                found.append(trained_detector(scorer, entry.index, result, entry.proposal.teacher))
        return tuple(found)

    def _weights(self, entry: LedgerEntry) -> Artifact | None:
        """Of a trial's detector; None if they were not kept, or its subnet was not extracted."""
        if entry.proposal.step is not Step.SUBNET:
            return entry.weights
        key = keys.result_key(self._detector_folder(entry))
        result = load_record(self.store, key, DetectorResult)
        return None if result is None else result.files.get("weights")

    def _finetune_folder(self, trial: int, weights: Artifact | None) -> str:
        """A search continued with more trials may have a new best trial."""
        folder = keys.finetune_folder(self.search)
        before = load_record(self.store, keys.request_key(folder), StudentRequest)
        if before is None or before.parent_weights == weights:
            return folder
        return keys.later_finetune_folder(self.search, trial)

    def _export_folder(self, winner: TrainedDetector) -> str:
        """A trial has two if it was exported before its lost fine-tuning was repeated."""
        first = keys.export_folder(self.search)
        for folder in (first, keys.later_export_folder(self.search, winner.trial)):
            before = load_record(self.store, keys.request_key(folder), ExportRequest)
            if before is None or before.weights == winner.result.weights:
                return folder
        return keys.second_export_folder(self.search, winner.trial)
