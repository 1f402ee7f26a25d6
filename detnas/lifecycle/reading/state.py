"""The state of a search, read from the store: no other state exists."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from detnas.ledger.entry import LedgerEntry, ledger_entry
from detnas.ledger.history import History, Loading, load_history, load_snapshot_history
from detnas.ledger.subnets import subnet_result
from detnas.ledger.summary import Summary
from detnas.ledger.trials import Verify
from detnas.lifecycle.pools.trained_pool import load_trained_pool
from detnas.lifecycle.reading.final_reader import FinalStagesReader
from detnas.lifecycle.reading.final_stages import FinalStages
from detnas.lifecycle.reading.results import Consumers, R, VerifiedResults
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import JobId, Observation
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.results import (
    DetectorResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    Result,
    SubnetsResult,
)
from detnas.records.verbs import FINAL_VERBS, Verb
from detnas.score import Scorer
from detnas.search.propose import SearchEnd, search_end
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord
from detnas.store.in_parallel import in_parallel


@dataclass(frozen=True)
class SearchState:
    """The state of a search.

    Attributes:
        prepare: result of the prepare job; None until it has one, as below.
        base: result of the base's job.
        pool: results of the pool's phases, in order, up to the first without one.
        scorer: scores against the base; None until that is trained.
        history: the trials.
        end: why no further trial is proposed; None while one is.
        extraction: result of the extraction of the best subnet, if the pool is searched.
        final_stages: what follows the trials; None until the trials are over, and the best subnet,
            if the pool is searched, is extracted.
    """

    prepare: PrepareResult | None = None
    base: DetectorResult | None = None
    pool: tuple[PoolPhaseResult, ...] = ()
    scorer: Scorer | None = None
    history: History = field(default_factory=lambda: History(Summary(top_k=1)))
    end: SearchEnd | None = None
    extraction: DetectorResult | None = None
    final_stages: FinalStages | None = None

    @property
    def trials(self) -> int:
        """Number of trials proposed, without those lost to the infrastructure."""
        summary = self.history.summary
        return summary.finished_count - summary.lost_count + len(self.history.in_flight)

    def result_of(self, job_id: JobId) -> Result | None:
        """Return the result of a job that is not a trial; of trials there is only a summary."""
        if job_id.verb is Verb.POOL:
            return self.pool[job_id.number] if job_id.number < len(self.pool) else None
        if job_id.verb in FINAL_VERBS:
            job = self.final_stages.job(job_id) if self.final_stages else None
            return job.result if job else None
        return {
            Verb.PREPARE: self.prepare,
            Verb.BASE: self.base,
            Verb.EXTRACT: self.extraction_of(job_id.number),
        }[job_id.verb]

    def extraction_of(self, trial: int) -> DetectorResult | None:
        """Return the result of the extraction of a trial's subnet, if that is the best."""
        best = self.history.summary.best
        return self.extraction if best is not None and best.index == trial else None

    def is_finished(self, job_id: JobId) -> bool:
        """Return whether a job's result is known, or no longer needed."""
        if job_id.verb.is_trial:
            return self.history.summary.knows(job_id.number)
        stages = self.final_stages
        served = job_id.verb in (Verb.FINETUNE, Verb.BASELINE)
        if served and stages is not None and stages.job(job_id) is None:
            return True  # an earlier best trial, or an earlier manifest
        return self.result_of(job_id) is not None

    @property
    def observation(self) -> Observation:
        """The state as `plan` takes it."""
        best = self.history.summary.best
        return Observation(
            prepare=self.prepare,
            base=self.base,
            pool=self.pool,
            in_flight=tuple(sorted({trial.job_number for trial in self.history.in_flight})),
            trials=self.trials,
            converged=self.end is not None,
            best=None if best is None else best.index,
            extraction=self.extraction,
            final=self.final_stages.jobs if self.final_stages else (),
        )


class SearchReader:
    """Reads a search's state; what was read once and cannot change is not read again.

    Args:
        store: where the search is stored.
        requests: names its folders.
        verify: called once, with its folder, for a result without consumers; an invalid one counts
            as missing.

    Attributes:
        state: as last read.
        has_recorded_pool: the pool was read from the search's own record.
    """

    def __init__(
        self,
        store: Store,
        requests: SearchRequests,
        verify: Verify = lambda _folder, _result: True,
    ) -> None:
        self._store = store
        self._search = requests.search
        self._requests = requests
        self._verify = verify
        self._results = VerifiedResults(store, verify)
        self._consumers = Consumers(store, requests.search)
        self._final_stages = FinalStagesReader(store, requests, self._results, self._consumers)
        self._loading = Loading(inherits=requests.spec.warm_start is not None)
        self.state = SearchState()
        self.has_recorded_pool = False

    def read(self, may_have_ended: Callable[[int], bool] = lambda _: True) -> SearchState:
        """Read what is new, and return the state.

        Args:
            may_have_ended: whether to look for the result of a job in flight, by its number. By
                default the result of each is looked for.
        """
        self._read_setup()
        state = self.state
        if state.prepare is not None and _succeeded(state.prepare, state.base, *state.pool):
            self._read_trials(may_have_ended)
        return self.state

    def read_ended(self, folder: str, kind: type[R]) -> R | None:
        """Read and verify the result of a job that has ended; None if it has no valid one."""
        return self._results.read_ended(folder, kind)

    def forget_last_phase(self) -> SearchState:
        """Forget the result of the pool's last phase, which is or will be set aside."""
        self.state = replace(self.state, pool=self.state.pool[:-1])
        return self.state

    def forget_pool(self) -> None:
        """Read the pool's phases again next time: they may have changed."""
        self.state = replace(self.state, pool=())

    def update_history(self, history: History) -> SearchState:
        """Add to the state what was just written: a trial's request or a segment."""
        self.state = replace(self.state, history=history)
        return self.state

    def invalidate_trials(self) -> None:
        """Read the trials again next time: a request may be stored despite an error."""
        self.state = replace(self.state, scorer=None)

    def _read_setup(self) -> None:
        state = self.state
        read, search = self._results.read, self._search
        base = state.base or read(
            keys.base_folder(search), DetectorResult, has_consumers=self._has_trials
        )
        prepare = state.prepare or read(
            keys.prepare_folder(search),
            PrepareResult,
            has_consumers=lambda _: base is not None or self._consumers.of_prepare(),
        )
        pool = state.pool
        if not pool and self._requests.spec.teachers.trained_phases:
            pool = load_trained_pool(self._store, self._search)
            self.has_recorded_pool = bool(pool)
        if prepare is not None and prepare.outcome is Outcome.SUCCEEDED:
            pool = self._pool(prepare, pool)
        self.state = replace(state, prepare=prepare, base=base, pool=pool)

    def _pool(
        self, prepare: PrepareResult, known: tuple[PoolPhaseResult, ...]
    ) -> tuple[PoolPhaseResult, ...]:
        is_supplied = self._requests.existing_pool is not None  # others set its results aside
        phases = len(self._requests.spec.teachers.trained_phases)
        while len(known) < phases and _succeeded(*known):
            folder = self._requests.pool_folder(prepare)
            phase = keys.pool_phase_folder(folder, len(known))
            if is_supplied:
                result = load_record(self._store, keys.result_key(phase), PoolPhaseResult)
            else:
                has_next = partial(self._consumers.of_phase, folder, len(known), phases)
                result = self._results.read(phase, PoolPhaseResult, has_consumers=has_next)
            if result is None:
                break
            known = (*known, result)
        return known

    def _has_trials(self, _base: DetectorResult) -> bool:
        """Whether this search has requested trials, all of which begin with the base."""
        spec = self._requests.spec
        if spec.warm_start is None:  # else the snapshot holds inherited trials
            history = self._loading.history or load_snapshot_history(
                self._store, self._search, spec.search.max_parents
            )
            self._loading.history = history  # which is read in any case
            if history.in_snapshot:
                return True
        return self._consumers.of_base()

    def _read_trials(self, may_have_ended: Callable[[int], bool]) -> None:
        state = self.state
        spec = self._requests.spec
        if len(state.pool) < len(spec.teachers.trained_phases) or state.base is None:
            return
        scorer = state.scorer or self._scorer()
        if state.scorer is None:
            history = load_history(
                self._store,
                self._search,
                scorer,
                spec.search.max_parents,
                self._verify,
                self._loading,
            )
        else:
            history = self._with_results(state.history, scorer, may_have_ended)
        end = search_end(spec.search, spec.proposed_space, history.summary, history.in_flight)
        self.state = now = replace(
            state, scorer=scorer, history=history, end=end, extraction=None, final_stages=None
        )
        best = history.summary.best
        if now.end and not history.in_flight and best is not None:
            if spec.searches_pool:
                before = state.extraction_of(best.index)
                self.state = now = replace(now, extraction=before or self._extraction(best))
                if now.extraction is None or not _succeeded(now.extraction):
                    return
            assert state.prepare is not None
            stages = self._final_stages.read(
                history.summary, scorer, state.base, state.prepare, state.pool, state.final_stages
            )
            self.state = replace(now, final_stages=stages)

    def _extraction(self, best: LedgerEntry) -> DetectorResult | None:
        return self._results.read(
            keys.extraction_folder(self._search, best.index),
            DetectorResult,
            has_consumers=partial(self._consumers.of_extraction, best.index),
        )

    def _with_results(
        self, history: History, scorer: Scorer, may_have_ended: Callable[[int], bool]
    ) -> History:
        jobs = defaultdict[int, list[Proposal]](list)
        for trial in history.in_flight:
            if may_have_ended(trial.job_number):
                jobs[trial.job_number].append(trial)
        results = in_parallel(self._result_of, list(jobs))
        for trials, result in zip(jobs.values(), results, strict=True):
            if result is None:
                continue
            for trial in trials:
                own = _own_result(trial, result, scorer)
                history = history.with_entry(ledger_entry(trial, own, scorer))
        return history

    def _result_of(self, job: int) -> DetectorResult | SubnetsResult | None:
        folder = keys.trial_folder(self._search, job)
        if self._requests.spec.searches_pool:
            return self._results.read(folder, SubnetsResult, awaited=True)
        return self._results.read(folder, DetectorResult, awaited=True)

    def _scorer(self) -> Scorer:
        prepare, base = self.state.prepare, self.state.base
        assert prepare is not None
        assert base is not None
        if base.architecture is None or not base.scores:
            folder = f"{self._store.uri}/{keys.base_folder(self._search)}"
            raise CorruptRecord(
                f"the base's result in {folder} has no scores",
                "restore the object: records are never edited",
            )
        return self._requests.scorer(prepare, base.architecture, base.scores)


def _own_result(
    trial: Proposal, result: DetectorResult | SubnetsResult, scorer: Scorer
) -> DetectorResult:
    """Return a trial's own result out of that of its job."""
    if isinstance(result, DetectorResult):
        return result
    assert scorer.supernet is not None
    return subnet_result(trial, result, scorer.supernet)


def _succeeded(*results: PrepareResult | DetectorResult | PoolPhaseResult | None) -> bool:
    return all(result is None or result.outcome is Outcome.SUCCEEDED for result in results)
