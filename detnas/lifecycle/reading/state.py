"""Where a search stands, read from the store: the only memory there is."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from detnas.ledger.entry import ledger_entry
from detnas.ledger.history import History, Loading, load_history, load_snapshot_history
from detnas.ledger.summary import Summary
from detnas.ledger.trials import Verify
from detnas.lifecycle.pools.trained import load_trained_pool
from detnas.lifecycle.reading.consumers import Consumers
from detnas.lifecycle.reading.final_stages import FinalStages
from detnas.lifecycle.reading.final_stages_reader import FinalStagesReader
from detnas.lifecycle.reading.results import VerifiedResults
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import Observation
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.results import (
    DetectorResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
)
from detnas.score import BaseFacts
from detnas.search.propose import Finished, propose
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord
from detnas.store.in_parallel import in_parallel


@dataclass(frozen=True)
class SearchState:
    """Where a search stands.

    Attributes:
        prepare: result of the prepare job; none while there is none, as below.
        base: result of the base's job.
        pool: results of the pool's phases, in order, up to the first without one.
        facts: the base, scored.
        history: the trials.
        decision: the next trial, or why there is none; none itself where it is not known.
        ending: what comes after the trials, once they are over.
    """

    prepare: PrepareResult | None = None
    base: DetectorResult | None = None
    pool: tuple[PoolPhaseResult, ...] = ()
    facts: BaseFacts | None = None
    history: History = field(default_factory=lambda: History(Summary(top_k=1)))
    decision: Proposal | Finished | None = None
    ending: FinalStages | None = None

    @property
    def finished(self) -> Finished | None:
        """Why no further trial is proposed; none while one is."""
        return self.decision if isinstance(self.decision, Finished) else None

    @property
    def trials(self) -> int:
        """How many trials were proposed, those lost to the infrastructure not counted."""
        summary = self.history.summary
        return summary.finished - summary.lost + len(self.history.in_flight)

    @property
    def observation(self) -> Observation:
        """The same, as the plan asks for it."""
        ending = self.ending
        return Observation(
            prepare=self.prepare,
            base=self.base,
            pool=self.pool,
            open_trials=tuple(sorted(proposal.index for proposal in self.history.in_flight)),
            trials=self.trials,
            converged=self.finished is not None,
            any_success=self.history.summary.best is not None,
            finetune=ending.finetune if ending else None,
            export=ending.export if ending else None,
        )


class SearchReader:
    """Reads a search's state; what was read once and can not change is not read again.

    Args:
        store: where the search lies.
        requests: names its folders.
        verify: asked once, by folder, whether a result that nobody has built on is to be believed;
            one that is not counts as not there.

    Attributes:
        state: where the search stood when it was last read.
        found_recorded_pool: the search's own record says which pool it uses.
    """

    def __init__(
        self,
        store: Store,
        requests: SearchRequests,
        verify: Verify = lambda _folder, _result: True,
    ) -> None:
        self._store = store
        self._requests = requests
        self._verify = verify
        self._results = VerifiedResults(store, verify)
        self._later = Consumers(store, requests.search)
        finetunes = requests.spec.finetune is not None
        self._endings = FinalStagesReader(
            store, requests.search, self._results, self._later, finetunes=finetunes
        )
        self._loading = Loading()
        self.state = SearchState()
        self.found_recorded_pool = False

    @property
    def _search(self) -> str:
        return self._requests.search

    def read(self, may_have_ended: Callable[[int], bool] = lambda _: True) -> SearchState:
        """Return where the search stands now.

        Args:
            may_have_ended: whether to look for the result of a trial that is in flight; who
                watches its job knows. By default all of them are looked for.
        """
        self._read_setup()
        state = self.state
        if state.prepare is not None and _succeeded(state.prepare, state.base, *state.pool):
            self._read_trials(may_have_ended)
        return self.state

    def forget_last_phase(self) -> SearchState:
        """Forget the result of the pool's last phase: it is set aside, or will be."""
        self.state = replace(self.state, pool=self.state.pool[:-1])
        return self.state

    def forget_pool(self) -> None:
        """Read the pool's phases anew next time: they may be others by then."""
        self.state = replace(self.state, pool=())

    def remember(self, history: History) -> SearchState:
        """Take note of what was written just now: a trial's request, or a segment."""
        if history is not self.state.history:
            decision = self.state.finished  # a trial that was proposed is not proposed again
            self.state = replace(self.state, history=history, decision=decision)
        return self.state

    def doubt_trials(self) -> None:
        """Read the trials anew next time: one may be decided without our knowing."""
        self.state = replace(self.state, facts=None)

    def _read_setup(self) -> None:
        state = self.state
        read, search, later = self._results.read, self._search, self._later
        base = state.base or read(
            keys.base_folder(search), DetectorResult, is_built_on=self._has_trials
        )
        prepare = state.prepare or read(
            keys.prepare_folder(search),
            PrepareResult,
            is_built_on=lambda _: base is not None or later.has_base(),
        )
        pool = state.pool
        if not pool:
            pool = load_trained_pool(self._store, self._search)
            self.found_recorded_pool = bool(pool)
        if prepare is not None and prepare.outcome is Outcome.SUCCEEDED:
            pool = self._pool(self._requests.pool_folder(prepare), pool)
        self.state = replace(state, prepare=prepare, base=base, pool=pool)

    def _pool(self, folder: str, known: tuple[PoolPhaseResult, ...]) -> tuple[PoolPhaseResult, ...]:
        is_given = self._requests.existing_pool is not None  # and so is others' to set aside
        phases = len(self._requests.spec.teachers.phases)
        while len(known) < phases and _succeeded(*known):
            phase = keys.pool_phase_folder(folder, len(known))
            if is_given:
                result = load_record(self._store, keys.result_key(phase), PoolPhaseResult)
            else:
                goes_on = partial(self._later.goes_on, folder, len(known), phases)
                result = self._results.read(phase, PoolPhaseResult, is_built_on=goes_on)
            if result is None:
                break
            known = (*known, result)
        return known

    def _has_trials(self, base: DetectorResult) -> bool:
        """Whether a trial of its own set out from the base."""
        spec = self._requests.spec
        if spec.warm_start is None:  # else some of those in the snapshot are another search's
            history = self._loading.history or load_snapshot_history(
                self._store, self._search, spec.search.top_k
            )
            self._loading.history = history  # which is read in any case
            if history.in_snapshot:
                return True
        return self._later.has_trials(base)

    def _read_trials(self, may_have_ended: Callable[[int], bool]) -> None:
        state = self.state
        spec = self._requests.spec
        if len(state.pool) < len(spec.teachers.phases) or state.base is None:
            return
        facts = state.facts or self._facts()
        if state.facts is None:
            history = load_history(
                self._store, self._search, facts, spec.search.top_k, self._verify, self._loading
            )
        else:
            history = self._with_results(state.history, facts, may_have_ended)
        known = state.decision if history is state.history else None
        decision = known or propose(
            spec.search, spec.teachers.space, facts, history.summary, history.in_flight
        )
        self.state = replace(state, facts=facts, history=history, decision=decision, ending=None)
        if self.state.finished and not history.in_flight and history.summary.best is not None:
            ending = self._endings.read(history.summary.top, facts, state.base, state.ending)
            self.state = replace(self.state, ending=ending)

    def _with_results(
        self, history: History, facts: BaseFacts, may_have_ended: Callable[[int], bool]
    ) -> History:
        looked_for = [trial for trial in history.in_flight if may_have_ended(trial.index)]
        for proposal, result in zip(
            looked_for, in_parallel(self._result_of, looked_for), strict=True
        ):
            if result is not None:
                history = history.finished(ledger_entry(proposal, result, facts))
        return history

    def _result_of(self, proposal: Proposal) -> DetectorResult | None:
        folder = keys.trial_folder(self._search, proposal.index)
        return self._results.read(folder, DetectorResult, awaited=True)

    def _facts(self) -> BaseFacts:
        prepare, base, spec = self.state.prepare, self.state.base, self._requests.spec
        assert prepare is not None
        assert base is not None
        if base.architecture is None or not base.scores:
            raise CorruptRecord(
                f"the base's result in {self._store.uri}/{self._search}/base has no scores",
                "restore the object: records are never edited",
            )
        return BaseFacts(
            architecture=base.architecture,
            detector=spec.detector,
            classes=len(prepare.classes),
            base_resolution=spec.base_resolution,
            alpha=float(spec.search.alpha),
            beta=float(spec.search.beta),
            scores=base.scores,
        )


def _succeeded(*results: PrepareResult | DetectorResult | PoolPhaseResult | None) -> bool:
    return all(result is None or result.outcome is Outcome.SUCCEEDED for result in results)
