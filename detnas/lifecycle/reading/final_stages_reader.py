"""What has come after a search's trials, read from the store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from detnas.ledger.entry import LedgerEntry, is_complete
from detnas.lifecycle.reading.consumers import Consumers
from detnas.lifecycle.reading.final_stages import FinalStages
from detnas.lifecycle.reading.results import VerifiedResults
from detnas.plan.candidate import Candidate, choose_winner, compare_with_base, scored
from detnas.records import keys
from detnas.records.requests import ExportRequest, StudentRequest
from detnas.records.results import DetectorResult, ExportResult, Outcome
from detnas.score import BaseFacts
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import MissingRecord


@dataclass(frozen=True, slots=True)
class FinalStagesReader:
    """Reads fine-tuning and export of one search.

    Attributes:
        store: where the search lies.
        search: key of its folder.
        results: reads the jobs' results.
        later: knows what was built on them.
        finetunes: the search asks for a fine-tuning.
    """

    store: Store
    search: str
    results: VerifiedResults
    later: Consumers
    finetunes: bool

    def read(
        self,
        top: Sequence[LedgerEntry],
        facts: BaseFacts,
        base: DetectorResult,
        before: FinalStages | None,
    ) -> FinalStages:
        """Return what has come after the trials, by now.

        Args:
            top: the best trials, best first; at least one.
            facts: the base that they are scored against.
            base: the base's result; it is exported where no student is better.
            before: what was read before; what came since is added.
        """
        best = top[0]
        known = before is not None and before.best.trial == best.index
        ending = before if before is not None and known else self._begun(best, facts)
        if ending.finetune is None and self.finetunes:
            has_export = partial(self.later.has_export, best.index, (ending.best.result, base))
            finetune = self.results.read(
                ending.finetune_folder, DetectorResult, is_built_on=has_export
            )
            if finetune is None:
                return ending
            ending = replace(ending, finetune=finetune)
        if ending.winner is None:
            ending = self._with_winner(ending, top[1:], facts, base)
        if ending.export is None:
            export = self.results.read(ending.export_folder, ExportResult)
            ending = replace(ending, export=export)
        return ending

    def _begun(self, entry: LedgerEntry, facts: BaseFacts) -> FinalStages:
        key = keys.result_key(keys.trial_folder(self.search, entry.index))
        result = load_record(self.store, key, DetectorResult)
        if result is None:  # its entry was made from it
            raise MissingRecord(self.store.uri, key)
        chosen = scored(facts, entry.index, result, entry.proposal.teacher)
        return FinalStages(chosen, self._finetune_folder(entry))

    def _with_winner(
        self,
        ending: FinalStages,
        others: Sequence[LedgerEntry],
        facts: BaseFacts,
        base: DetectorResult,
    ) -> FinalStages:
        best, finetune, finetuned, failure = ending.best, ending.finetune, None, ""
        if finetune is not None and finetune.outcome is Outcome.SUCCEEDED:
            finetuned = scored(facts, best.trial, finetune, best.teacher)
        elif finetune is not None:
            failure = f"{finetune.outcome}: {finetune.message}"
        earlier = self._finetuned_before(ending, others, facts) if self.finetunes else ()
        student = choose_winner(best, finetuned, failure, earlier)
        winner = compare_with_base(student, scored(facts, None, base, None), self._has_export)
        folder = self._export_folder(winner.candidate)
        return replace(ending, finetuned=finetuned, winner=winner, export_folder=folder)

    def _has_export(self, student: Candidate) -> bool:
        return self.store.size(keys.request_key(self._export_folder(student))) is not None

    def _finetuned_before(
        self, ending: FinalStages, others: Sequence[LedgerEntry], facts: BaseFacts
    ) -> tuple[Candidate, ...]:
        """Students of trials that were the best when there were fewer trials."""
        folders = {f"{self.search}/{name}" for name in self.store.folders(f"{self.search}/")}
        first = keys.finetune_folder(self.search)
        earlier = {one for one in folders if one.startswith(first)} - {ending.finetune_folder}
        found = []
        for entry in others if earlier else ():
            if (folder := self._finetune_folder(entry)) not in earlier:
                continue
            result = load_record(self.store, keys.result_key(folder), DetectorResult)
            if result and result.outcome is Outcome.SUCCEEDED and is_complete(result):
                found.append(scored(facts, entry.index, result, entry.proposal.teacher))
        return tuple(found)

    def _finetune_folder(self, trial: LedgerEntry) -> str:
        """A search that went on with more trials may have another winner than it had before."""
        folder = keys.finetune_folder(self.search)
        before = load_record(self.store, keys.request_key(folder), StudentRequest)
        if before is None or before.parent_weights == trial.weights:
            return folder
        return f"{folder}-{trial.index:04d}"

    def _export_folder(self, winner: Candidate) -> str:
        """A trial has two where it was exported before its fine-tuning could be made up for."""
        best = keys.student_folder(self.search)
        own = f"{best}-base" if winner.trial is None else f"{best}-{winner.trial:04d}"
        for folder in (best, own):
            before = load_record(self.store, keys.request_key(folder), ExportRequest)
            if before is None or before.weights == winner.result.weights:
                return folder
        return f"{own}-2"
