"""Segmented trials are reported like all others."""

import pytest

from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.search_status import search_status
from detnas.plan.stages import Phase
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher


class Listener(QuietWatcher):
    """Remembers every trial and phase that it could have reported."""

    def __init__(self) -> None:
        super().__init__()
        self.trials: set[int] = set()
        self.phases: list[Phase] = []

    def phase(self, phase: Phase, state: SearchState) -> None:
        self.trials |= set(state.history.unsegmented)
        self.phases.append(phase)


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detnas.ledger.segments.SEGMENT", 2)


def test_run_reports_a_failed_trial_that_completes_a_segment(search: LocalSearch) -> None:
    search.write(trials=4)
    search.faults({"trials/0001": ["exit 1"] * 3})
    listener = Listener()
    state = search.run_here(listener)
    assert sorted(search.records("ledger/0*.json")) == ["ledger/0000.json", "ledger/0001.json"]
    assert listener.trials == {0, 1, 2, 3, 4}, "the lost one is replaced"
    assert listener.phases[-1] is Phase.SUCCEEDED
    assert [trial.number for trial in search_status(search.open(), state).failures] == [1]
