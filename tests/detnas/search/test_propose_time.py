"""How long it takes to decide a trial of a long search."""

import timeit
from collections.abc import Callable
from random import Random

import pytest

from detnas.ledger import Summary
from tests.detnas.search.proposing import next_proposal
from tests.detnas.trials import SPACE, proposal, succeeded, summary_of


@pytest.mark.serial
def test_a_proposal_is_quick_after_ten_thousand_trials() -> None:
    summary = _long_search(10_000)
    assert summary.finished == 10_000
    assert _seconds(lambda: next_proposal(summary)) < 0.05


def _long_search(trials: int) -> Summary:
    template = succeeded(proposal(0), 0.4)
    random = Random(0)
    return summary_of(
        [
            template.model_copy(
                update={"proposal": proposal(i, max(0, i - 20), teacher=SPACE.sample(random))}
            )
            for i in range(trials)
        ]
    )


def _seconds(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=5, repeat=5)) / 5
