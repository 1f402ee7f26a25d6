"""Memory runs out on one of two ranks: all halve their parts once, then the candidate is judged."""

import json
from typing import Any

from detnas.records.keys import checkpoint_key
from detnas.records.results import Outcome
from detnas.store.artifacts import load_record
from detnas_trainer.training.checkpoint import CheckpointRecord
from tests.trainer.conftest import Workplace
from tests.trainer.ranks.processes import run_ranks

PROGRAM = "tests.trainer.ranks.short_of_memory"
KEY = "local/a/base"


def _run(uri: str) -> list[dict[str, Any]]:
    return [json.loads(output.splitlines()[-1]) for output in run_ranks(PROGRAM, 2, "base", uri)]


def test_all_ranks_halve_their_parts_where_one_runs_out_of_memory(workplace: Workplace) -> None:
    uri = workplace.put(workplace.base_request(KEY))
    first = _run(uri)
    assert [found["code"] for found in first] == [75, 75]
    assert not workplace.has_result(KEY)
    record = load_record(workplace.store, checkpoint_key(KEY, 1), CheckpointRecord)
    assert record is not None
    assert (record.iteration, record.micro_batch) == (1, 1), "it repeats the step that failed"

    second = _run(uri)
    done = {"1": [1, 1], "2": [1, 1]}
    assert [{n: found["parts"][n] for n in done} for found in second] == [done, done]
    result = workplace.result(KEY)
    assert result.outcome is Outcome.OUT_OF_MEMORY
    assert "lower batchSize, or microBatch below 1" in result.message
    attempt = workplace.attempt(KEY, 2)
    assert attempt is not None
    assert attempt.resumed_at == 1
