"""Whether later work was built on a job's result: who built on it believed it."""

from collections.abc import Collection

from detnas.ledger.trials import load_inherited
from detnas.records import keys
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult, PoolPhaseResult
from detnas.store import Store
from detnas.store.artifacts import load_record


class Consumers:
    """What a search did with its results.

    Args:
        store: where it lies.
        search: key of its folder.
    """

    def __init__(self, store: Store, search: str) -> None:
        self._store = store
        self._search = search

    def has_base(self) -> bool:
        """Whether the base was asked for, or taken over, once the data was known."""
        folder = keys.base_folder(self._search)
        return self._is_there(keys.request_key(folder)) or self._is_there(keys.result_key(folder))

    def has_trials(self, _base: DetectorResult) -> bool:
        """Whether a trial of its own set out from the base."""
        if self._has_trial(0):
            return True
        inherited = load_inherited(self._store, self._search)
        return inherited is not None and self._has_trial(inherited.trials)

    def goes_on(self, pool: str, number: int, phases: int, _phase: PoolPhaseResult) -> bool:
        """Whether the next phase of a pool was asked for.

        A whole pool may be another search's, and have served it for long: `check_found_pool` looks
        at it before this one takes it up, and sets nothing aside.

        Args:
            pool: key of its folder.
            number: of the phase whose result is there.
            phases: how many the pool has.
        """
        following = keys.request_key(keys.pool_phase_folder(pool, number + 1))
        return number + 1 == phases or self._is_there(following)

    def has_export(
        self, trial: int, others: Collection[DetectorResult], finetune: DetectorResult
    ) -> bool:
        """Whether an export was asked for once a fine-tuning had ended.

        Args:
            trial: number of the trial that was fine-tuned.
            others: what may have been exported instead: its result, and the base's.
            finetune: the fine-tuning's result.
        """
        folder = keys.student_folder(self._search)
        first = load_record(self._store, keys.request_key(folder), ExportRequest)
        exportable = (*(one.weights for one in others), finetune.files.get("weights"))
        if first is not None and first.weights in exportable:
            return True
        own = (f"{folder}-{trial:04d}", f"{folder}-base")
        return any(self._is_there(keys.request_key(one)) for one in own)

    def _has_trial(self, index: int) -> bool:
        return self._is_there(keys.request_key(keys.trial_folder(self._search, index)))

    def _is_there(self, key: str) -> bool:
        return self._store.size(key) is not None
