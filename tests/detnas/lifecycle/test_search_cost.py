"""What a search has cost, by its results and the GPUs that it requests."""

from dataclasses import replace
from datetime import UTC, datetime

from detnas.ledger.history import History
from detnas.ledger.summary import Summary
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.search_cost import search_cost
from detnas.records.results import DetectorResult, PoolPhaseResult
from tests.detnas.searches.results import requests

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400.0
STATE = SearchState(
    base=DetectorResult(started=NOW, finished=NOW, seconds={"training": DAY, "evaluating": DAY}),
    pool=tuple(
        PoolPhaseResult(started=NOW, finished=NOW, seconds={"training": days * DAY})
        for days in (1, 2)
    ),
    history=History(Summary(top_k=1, milliseconds=int(5 * DAY * 1000))),
)


def test_search_cost_multiplies_times_by_the_gpus_of_each_job() -> None:
    spec = requests(
        base={**requests().spec.base.model_dump(exclude_none=True, by_alias=True), "gpus": 2},
        teachers={"workers": 4, "gpusPerWorker": 8},
        evaluation={"gpus": 3},
    ).spec
    cost = search_cost(STATE, spec)
    assert cost.base.seconds == 2 * DAY
    assert (cost.base.gpu_days, cost.pool.gpu_days, cost.trials.gpu_days) == (4, 96, 15)
    assert cost.finetune.gpu_days == 0
    assert cost.total_gpu_days == 115


def test_search_cost_counts_cores_as_one_gpu() -> None:
    spec = requests(teachers={"gpusPerWorker": 0}, evaluation={"gpus": 0}).spec
    cost = search_cost(STATE, spec)
    assert (cost.pool.gpu_days, cost.trials.gpu_days) == (3, 5)


def test_search_cost_of_a_search_without_results_is_zero() -> None:
    empty = search_cost(replace(STATE, base=None, pool=(), history=SearchState().history), SPEC)
    assert sum(part.seconds for _, part in empty) == 0


SPEC = requests().spec
