"""What a search has used: all attempts of all its jobs, over all their pods."""

from detnas.ledger import History, ledger_entry
from detnas.lifecycle.reading.state import SearchState
from detnas.plan.stages import Verb
from detnas.records.results import DetectorResult, PoolPhaseResult
from detnas.spec.loading import read_manifest
from detnas_operator.reconcile.gpu_time import gpu_seconds
from tests.cluster.searches import manifest
from tests.detnas.trials import BASE, START, folded, proposal, result

SECTIONS = {
    "base": {"model": "faster-rcnn-r50-fpn", "train": {"epochs": 1}, "gpus": 2},
    "evaluation": {"gpus": 4},
    "teachers": {
        "phases": [{"epochs": 1, "learningRate": "0.1"}],
        "workers": 3,
        "gpusPerWorker": 8,
    },
}
SPEC = read_manifest(manifest("one", SECTIONS), "one").spec


def used(state: SearchState, *besides: tuple[Verb, float], trained_pool: bool = True) -> float:
    return gpu_seconds(state, SPEC, besides, trained_pool=trained_pool)


def test_a_trial_counts_with_all_its_attempts() -> None:
    resumed = result(0).model_copy(update={"seconds": {"training": 4000.0, "evaluating": 200.0}})
    entries = [ledger_entry(proposal(0), resumed, BASE)]
    state = SearchState(history=History(folded(entries)))
    assert used(state) == 4 * 4200
    assert used(state, (Verb.EVALUATE, 100.0)) == 4 * 4300


def test_a_phase_counts_with_all_its_workers_for_who_trained_it() -> None:
    phase = PoolPhaseResult(started=START, finished=START, seconds={"training": 10.0})
    base = DetectorResult(started=START, finished=START, seconds={"training": 5.0})
    state = SearchState(base=base, pool=(phase,))
    assert used(state) == 2 * 5 + 3 * 8 * 10
    assert used(state, (Verb.POOL, 7.0), trained_pool=False) == 2 * 5 + 8 * 7
