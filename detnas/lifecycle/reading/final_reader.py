"""Reads the final stages of a search, after its trials, from the store."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from detnas.ledger.entry import LedgerEntry, is_complete
from detnas.ledger.history import read_entries, read_trial
from detnas.ledger.summary import Summary
from detnas.lifecycle.reading.baselines import BaselinesReader
from detnas.lifecycle.reading.final_stages import Finalist, FinalStages
from detnas.lifecycle.reading.results import Consumers, VerifiedResults
from detnas.plan.final_test import tested
from detnas.plan.requests import FinalRequests, SearchRequests
from detnas.plan.stages import FinalJob, JobId
from detnas.plan.winner import (
    TrainedDetector,
    choose_candidates,
    choose_winner,
    compare_with_base,
    gain_over,
    trained_detector,
)
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Step
from detnas.records.requests import ExportRequest, FinalTestRequest, StudentRequest
from detnas.records.results import (
    DetectorResult,
    ExportResult,
    FinalTestResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
)
from detnas.records.verbs import Verb
from detnas.score import Scorer
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord, MissingRecord
from detnas.store.in_parallel import in_parallel


@dataclass(frozen=True, slots=True)
class FinalStagesReader:
    """Reads the final stages of one search.

    Attributes:
        store: where the search is stored.
        requests: of the search; they name folders, and what is asked for.
        results: reads the jobs' results.
        consumers: knows what was built on them.
    """

    store: Store
    requests: SearchRequests
    results: VerifiedResults
    consumers: Consumers

    def read(
        self,
        summary: Summary,
        scorer: Scorer,
        base: DetectorResult,
        prepared: PrepareResult,
        pool: tuple[PoolPhaseResult, ...],
        before: FinalStages | None,
    ) -> FinalStages:
        """Return the final stages so far.

        Args:
            summary: of the trials; at least one succeeded.
            scorer: scores them against the base.
            base: the base's result, which is exported if no student is better.
            prepared: result of the data check.
            pool: results of its phases.
            before: what was read before; what is new is added.
        """
        stages, ended = before, summary.folded_count
        if stages is None or stages.ended != ended:
            first = trained_detector(scorer, None, base, None)
            finalists = self._finalists(self._candidates(summary, scorer), scorer)
            stages = FinalStages(first, tuple(finalists), ended=ended)
        stages = replace(
            stages, finalists=tuple(self._tuned(one, stages, scorer) for one in stages.finalists)
        )
        if any(job.result is None for job in stages.tunings):
            return stages
        if stages.winner is None:
            stages = self._with_winner(stages, summary.top, scorer, prepared)
        if self.requests.spec.baselines:
            winner = stages.winner
            assert winner is not None
            stages = BaselinesReader(self.store, self.requests, self.results).read(
                stages,
                scorer,
                prepared,
                self.requests.pool(pool),
                lambda: self._has_export(winner.detector),
            )
            if any(one.job.result is None for one in stages.baselines):
                return stages
        if self.requests.data.test is not None and prepared.test is not None:
            stages = self._with_test(stages, scorer, prepared.test.images)
        is_tested = stages.test is None or stages.tested
        return self._with_export(stages) if is_tested else stages

    @property
    def _search(self) -> str:
        return self.requests.search

    def _candidates(self, summary: Summary, scorer: Scorer) -> tuple[LedgerEntry, ...]:
        """The trials whose students may be exported; several only if they are fine-tuned."""
        best, finetune = summary.best, self.requests.spec.finetune
        assert best is not None
        if finetune is None or finetune.candidates == 1:
            return (best,)
        on_front = {point.index for point in summary.front}
        known = [entry for entry in summary.top if entry.index in on_front]
        others = on_front - {entry.index for entry in known}
        read = self._entries(others, scorer)
        return choose_candidates(best, [*known, *read], finetune.candidates)

    def _entries(self, indices: Collection[int], scorer: Scorer) -> list[LedgerEntry]:
        """Finished trials of these numbers."""
        if self.requests.spec.warm_start is None:
            read = partial(read_trial, self.store, self._search, scorer)
            found: Iterable[object] = in_parallel(read, sorted(indices))
        else:  # what an inherited trial is estimated at, the ledger alone knows
            found = read_entries(self.store, self._search, scorer) if indices else ()
        return [one for one in found if isinstance(one, LedgerEntry) and one.index in indices]

    def _finalists(self, entries: Sequence[LedgerEntry], scorer: Scorer) -> list[Finalist]:
        found = []
        for entry in entries:
            key = keys.result_key(self._detector_folder(entry))
            result = load_record(self.store, key, DetectorResult)
            if result is None:  # it was read before
                raise MissingRecord(self.store.uri, key)
            student = trained_detector(scorer, entry.index, result, entry.proposal.teacher)
            student = replace(student, estimate=entry.estimated_h)
            job = None
            if self.requests.spec.finetune is not None:
                first = entry is entries[0]
                number = self._finetune_number(entry.index, result.weights, may_be_first=first)
                folder = keys.finetuning_folder(self._search, number)
                job = FinalJob(JobId(Verb.FINETUNE, number), folder)
            found.append(Finalist(student, job))
        return found

    def _detector_folder(self, entry: LedgerEntry) -> str:
        """The folder with a trial's detector: its own, or that of its subnet's extraction."""
        of_subnet = entry.proposal.step is Step.SUBNET
        folder = keys.extraction_folder if of_subnet else keys.trial_folder
        return folder(self._search, entry.index)

    def _tuned(self, finalist: Finalist, stages: FinalStages, scorer: Scorer) -> Finalist:
        """The finalist with the result of its fine-tuning, if there is one by now."""
        job, student = finalist.job, finalist.student
        if job is None or job.result is not None:
            return finalist
        assert student.trial is not None
        others = (student.result, stages.base.result)
        has_consumers = partial(self.consumers.of_finetune, student.trial, others)
        result = self.results.read(job.folder, DetectorResult, has_consumers=has_consumers)
        finalist = replace(finalist, job=replace(job, result=result))
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            return finalist
        tuned = trained_detector(scorer, student.trial, result, student.teacher, tuned=True)
        return replace(finalist, tuned=tuned)

    def _with_winner(
        self,
        stages: FinalStages,
        top: Sequence[LedgerEntry],
        scorer: Scorer,
        prepared: PrepareResult,
    ) -> FinalStages:
        candidates = [one.candidate for one in stages.finalists]
        earlier: tuple[TrainedDetector, ...] = ()
        if self.requests.spec.finetune is not None:
            others = [entry for entry in top if entry.index not in stages.trials]
            earlier = self._finetuned_before(stages, others, scorer)
        student = choose_winner(candidates, earlier)
        images = prepared.val.images if prepared.val is not None else 0
        winner = compare_with_base(student, stages.base, self._has_export, images)
        return replace(stages, winner=winner, student=student.detector)

    def _with_test(self, stages: FinalStages, scorer: Scorer, images: int) -> FinalStages:
        winner = stages.winner
        assert winner is not None
        if stages.tested:
            return stages
        job = stages.test or self._test(stages)
        result = self.results.read(
            job.folder, FinalTestResult, has_consumers=lambda _: self._has_export(winner.detector)
        )
        stages = replace(stages, test=replace(job, result=result))
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            return stages
        found = tested(scorer, stages.contestants, result)
        for one in stages.contestants:
            if one.detector.name not in found:
                raise CorruptRecord(
                    f"{self.store.uri}/{keys.result_key(job.folder)} has no score of "
                    f"{one.detector.name}",
                    "delete the object, so that the test is repeated",
                )
        student, base = found[winner.detector.name][0], found[stages.base.name][0]
        gain = gain_over(base, student, images, unseen=True) if winner.improved else None
        return replace(stages, tested=found, winner=replace(winner, gain=gain, on_test=student))

    def _test(self, stages: FinalStages) -> FinalJob:
        """The job that scores these detectors: the search may have scored others before."""
        wanted = FinalRequests(self.requests).detectors_to_test(stages.contestants)
        for number in count(1):
            folder = keys.final_test_folder(self._search, number)
            before = load_record(self.store, keys.request_key(folder), FinalTestRequest)
            if before is None or before.detectors == wanted:
                break
        return FinalJob(JobId(Verb.TEST), folder)

    def _with_export(self, stages: FinalStages) -> FinalStages:
        assert stages.winner is not None
        job = stages.exporting
        if job is None:
            folder = self._export_folder(stages.winner.detector)
            job = FinalJob(JobId(Verb.EXPORT), folder)
        if job.result is None:
            job = replace(job, result=self.results.read(job.folder, ExportResult))
        return replace(stages, exporting=job)

    def _has_export(self, student: TrainedDetector) -> bool:
        return self.store.size(keys.request_key(self._export_folder(student))) is not None

    def _finetuned_before(
        self, stages: FinalStages, others: Sequence[LedgerEntry], scorer: Scorer
    ) -> tuple[TrainedDetector, ...]:
        """Students fine-tuned when the search had fewer trials and another best trial."""
        folders = {f"{self._search}/{name}" for name in self.store.folders(f"{self._search}/")}
        first = keys.finetuning_folder(self._search, 0)
        used = {job.folder for job in stages.tunings}
        earlier = {one for one in folders if one.startswith(first)} - used
        found = []
        for entry in others if earlier else ():
            weights = self._weights(entry)
            number = self._finetune_number(entry.index, weights, may_be_first=False)
            folder = keys.finetuning_folder(self._search, number)
            if folder not in earlier:
                continue
            result = load_record(self.store, keys.result_key(folder), DetectorResult)
            if result and result.outcome is Outcome.SUCCEEDED and is_complete(result):
                teacher = entry.proposal.teacher
                found.append(trained_detector(scorer, entry.index, result, teacher, tuned=True))
        return tuple(found)

    def _weights(self, entry: LedgerEntry) -> Artifact | None:
        """Of a trial's detector; None if they were not kept, or its subnet was not extracted."""
        if entry.proposal.step is not Step.SUBNET:
            return entry.weights
        key = keys.result_key(self._detector_folder(entry))
        result = load_record(self.store, key, DetectorResult)
        return None if result is None else result.files.get("weights")

    def _finetune_number(self, trial: int, weights: Artifact | None, *, may_be_first: bool) -> int:
        """The best trial's student is the first; more trials may have another best one."""
        key = keys.request_key(keys.finetuning_folder(self._search, 0))
        before = load_record(self.store, key, StudentRequest)
        if before is None:
            return 0 if may_be_first else trial + 1
        return 0 if before.parent_weights == weights else trial + 1

    def _export_folder(self, winner: TrainedDetector) -> str:
        """A trial has two if it was exported before its lost fine-tuning was repeated."""
        first = keys.export_folder(self._search)
        for folder in (first, keys.later_export_folder(self._search, winner.trial)):
            before = load_record(self.store, keys.request_key(folder), ExportRequest)
            if before is None or before.weights == winner.result.weights:
                return folder
        return keys.second_export_folder(self._search, winner.trial)
