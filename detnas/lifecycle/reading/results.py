"""Results of a search's jobs as they are read: each is verified once, before anything uses it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from detnas.ledger.trials import Verify, load_inherited
from detnas.records import keys
from detnas.records.requests import ExportRequest, FinalTestRequest, StudentRequest
from detnas.records.results import DetectorResult, PoolPhaseResult, Result
from detnas.store import Store
from detnas.store.artifacts import load_record

R = TypeVar("R", bound=Result)


class VerifiedResults:
    """Reads results, and verifies those without consumers.

    A result with consumers was verified by the scheduler that requested them. If its files were
    lost since then, their readers notice by the digests: finished work is not repeated because its
    files were moved. A result that exists at the first read may have been written while no
    scheduler was running.

    Args:
        store: where the jobs are stored.
        verify: returns, for a folder and its new result, whether the result is valid.
    """

    def __init__(self, store: Store, verify: Verify) -> None:
        self._store = store
        self._verify = verify
        self._awaited: set[str] = set()
        self._ended: dict[str, Result] = {}

    def read_ended(self, folder: str, kind: type[R]) -> R | None:
        """Read and verify the result of a job that has ended; the next `read` returns it again."""
        result = self.read(folder, kind, awaited=True)
        if result is not None:
            self._ended[folder] = result
        return result

    def read(
        self,
        folder: str,
        kind: type[R],
        *,
        awaited: bool = False,
        has_consumers: Callable[[R], bool] = lambda _: True,
    ) -> R | None:
        """Read a job's result; None if there is no valid one.

        Args:
            folder: key of the job's folder.
            kind: type of its result.
            awaited: the result is known to be new.
            has_consumers: called with a result that exists at the first read.
        """
        ended = self._ended.pop(folder, None)
        if isinstance(ended, kind):
            return ended
        result = load_record(self._store, keys.result_key(folder), kind)
        if result is None:
            self._awaited.add(folder)
            return None
        if awaited or folder in self._awaited or not has_consumers(result):
            if not self._verify(folder, result):
                return None
            self._awaited.discard(folder)
        return result


@dataclass(frozen=True, slots=True)
class Consumers:
    """Knows which results of a search have consumers: later requests built on them.

    Attributes:
        store: where the search is stored.
        search: key of its folder.
    """

    store: Store
    search: str

    def of_prepare(self) -> bool:
        """Whether the base was requested or inherited once the data was known."""
        folder = keys.base_folder(self.search)
        return self._exists(keys.request_key(folder)) or self._exists(keys.result_key(folder))

    def of_base(self) -> bool:
        """Whether a trial of this search was requested, which begins with the base."""
        if self._has_trial(0):
            return True
        inherited = load_inherited(self.store, self.search)
        return inherited is not None and self._has_trial(inherited.trials)

    def of_phase(self, pool: str, number: int, phases: int, _phase: PoolPhaseResult) -> bool:
        """Whether the next phase of a pool was requested; of the last phase always True.

        A complete pool may belong to another search and have been in use for long:
        `check_trained_pool` checks it before this search uses it, and sets nothing aside.

        Args:
            pool: key of its folder.
            number: of the phase that has a result.
            phases: how many the pool has.
        """
        following = keys.request_key(keys.pool_phase_folder(pool, number + 1))
        return number + 1 == phases or self._exists(following)

    def of_extraction(self, trial: int, extraction: DetectorResult) -> bool:
        """Whether a fine-tuning or an export was requested of an extracted subnet.

        Args:
            trial: number of the trial that evaluated it.
            extraction: the extraction's result.
        """
        weights, load = extraction.files.get("weights"), partial(load_record, self.store)
        tuning = load(keys.request_key(keys.finetune_folder(self.search)), StudentRequest)
        export = load(keys.request_key(keys.export_folder(self.search)), ExportRequest)
        if weights in (tuning and tuning.parent_weights, export and export.weights):
            return True
        later = (
            keys.later_finetune_folder(self.search, trial),
            keys.later_export_folder(self.search, trial),
        )
        return any(self._exists(keys.request_key(one)) for one in later)

    def of_finetune(
        self, trial: int, others: Collection[DetectorResult], finetune: DetectorResult
    ) -> bool:
        """Whether a test or an export was requested after a fine-tuning had ended.

        Args:
            trial: number of the trial that was fine-tuned.
            others: what may have been exported instead: its result and the base's.
            finetune: the fine-tuning's result.
        """
        folder = keys.export_folder(self.search)
        first = load_record(self.store, keys.request_key(folder), ExportRequest)
        exportable = (*(one.weights for one in others), finetune.files.get("weights"))
        if first is not None and first.weights in exportable:
            return True
        later = [keys.later_export_folder(self.search, one) for one in (trial, None)]
        if any(self._exists(keys.request_key(one)) for one in later):
            return True
        return self._is_tested(finetune)

    def _is_tested(self, detector: DetectorResult) -> bool:
        """Whether the detector was to be scored on the test images."""
        key = keys.request_key(keys.final_test_folder(self.search))
        test = load_record(self.store, key, FinalTestRequest)
        weights = detector.files.get("weights")
        return test is not None and any(one.weights == weights for one in test.detectors)

    def _has_trial(self, index: int) -> bool:
        return self._exists(keys.request_key(keys.trial_folder(self.search, index)))

    def _exists(self, key: str) -> bool:
        return self.store.size(key) is not None
