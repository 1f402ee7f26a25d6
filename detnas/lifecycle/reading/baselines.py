"""Reads the baselines of a search: what its best student is compared with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from detnas.ledger.entry import lineage
from detnas.ledger.history import read_entries
from detnas.lifecycle.reading.final_stages import FinalStages, TrainedBaseline
from detnas.lifecycle.reading.results import VerifiedResults
from detnas.plan.requests import (
    Compared,
    FinalRequests,
    SearchRequests,
    baseline_request,
    is_same_baseline,
)
from detnas.plan.stages import FinalJob, JobId
from detnas.plan.winner import TrainedDetector, trained_detector
from detnas.records import keys
from detnas.records.requests import Pool, StudentRequest
from detnas.records.results import DetectorResult, Outcome, PrepareResult
from detnas.records.verbs import Verb
from detnas.score import Scorer
from detnas.spec.baselines import Baseline
from detnas.store import Store
from detnas.store.artifacts import load_record


@dataclass(frozen=True, slots=True)
class BaselinesReader:
    """Reads the baselines of one search.

    Attributes:
        store: where the search is stored.
        requests: of the search.
        results: reads the jobs' results.
    """

    store: Store
    requests: SearchRequests
    results: VerifiedResults

    def read(
        self,
        stages: FinalStages,
        scorer: Scorer,
        prepared: PrepareResult,
        pool: Pool | None,
        is_used: Callable[[], bool],
    ) -> FinalStages:
        """Return the stages with the baselines so far.

        Args:
            stages: the best student is known.
            scorer: scores against the base.
            prepared: result of the data check.
            pool: of the teachers; None if there is none.
            is_used: whether anything followed the baselines.
        """
        found = stages.baselines
        if not found:
            assert stages.student is not None
            epochs = self._epochs(stages.student, scorer)
            compared = Compared(stages.base, stages.student, epochs)
            found = tuple(
                self._requested(one, compared, prepared, pool)
                for one in self.requests.spec.baselines
            )
        return replace(
            stages, baselines=tuple(self._with_result(one, scorer, is_used) for one in found)
        )

    def _epochs(self, student: TrainedDetector, scorer: Scorer) -> int:
        """How long the student's lineage was trained, by the records of its jobs."""
        spec, search = self.requests.spec, self.requests.search
        assert student.trial is not None
        entries = {one.index: one for one in read_entries(self.store, search, scorer)}
        chain = lineage(entries, student.trial)
        epochs = spec.finetune.epochs if spec.finetune is not None and student.tuned else 0
        for entry in chain if spec.evaluation.inherit else chain[-1:]:
            key = keys.request_key(keys.trial_folder(search, entry.index))
            request = None if entry.inherited else load_record(self.store, key, StudentRequest)
            # Another search's request is elsewhere: it counts as one of this search.
            training = spec.trial_training if request is None else request.training
            epochs += training.epochs
        return epochs

    def _requested(
        self, baseline: Baseline, compared: Compared, prepared: PrepareResult, pool: Pool | None
    ) -> TrainedBaseline:
        """The baseline in its folder: the search may have trained it for another student before."""
        final, number = FinalRequests(self.requests), baseline.number
        for again in count(1):
            folder = keys.baseline_folder(self.requests.search, baseline.folder, again)
            wanted = baseline_request(final, folder, baseline, compared, prepared, pool)
            before = load_record(self.store, keys.request_key(folder), StudentRequest)
            if before is None or is_same_baseline(before, wanted):
                break
        job = FinalJob(JobId(Verb.BASELINE, number), folder)
        return TrainedBaseline(baseline, wanted, job)

    def _with_result(
        self, one: TrainedBaseline, scorer: Scorer, is_used: Callable[[], bool]
    ) -> TrainedBaseline:
        if one.job.result is not None:
            return one
        folder = one.job.folder
        result = self.results.read(folder, DetectorResult, has_consumers=lambda _: is_used())
        one = replace(one, job=replace(one.job, result=result))
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            return one
        trained = trained_detector(scorer, None, result, None)
        return replace(one, detector=replace(trained, baseline=one.baseline))
