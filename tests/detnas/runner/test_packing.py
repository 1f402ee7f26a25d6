"""Trials that go into a segment of the ledger are told and shown like all others."""

import sys
from pathlib import Path

import pytest

from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.status import search_status
from detnas.plan.stages import Phase
from detnas.runner.opening import Overrides, open_search
from detnas.runner.search_run import RunSettings, SearchRun
from detnas.runner.stopping import StopRequest
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher

FAKE_TRAINER = (sys.executable, "-m", "tests.detnas.searches.fake_trainer")


class Listener(QuietWatcher):
    """Remembers every trial it could have told of, and the phases."""

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


def test_a_trial_that_completes_a_segment_is_told_and_its_failure_is_shown(tmp_path: Path) -> None:
    pretended = LocalSearch(tmp_path / "search")
    pretended.write(trials=4)
    pretended.faults({"trials/0001": ["exit 1"] * 3})
    store = str(pretended.folder / "store")
    search = open_search(pretended.folder / "search.yaml", Overrides(store))
    settings = RunSettings(trainer=(*FAKE_TRAINER, str(pretended.folder)), tick=0.02)
    heard = Listener()
    state = SearchRun(search, heard, StopRequest(), settings).run()
    assert sorted(pretended.records("ledger/0*.json")) == ["ledger/0000.json", "ledger/0001.json"]
    assert heard.trials == {0, 1, 2, 3, 4}, "the lost one is made up for"
    assert heard.phases[-1] is Phase.SUCCEEDED
    assert [trial.number for trial in search_status(search, state).failures] == [1]
