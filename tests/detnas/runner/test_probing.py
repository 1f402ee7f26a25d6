"""A store that overwrites objects is refused before anything is written."""

import sys
from pathlib import Path

import pytest

from detnas.store.errors import CreateOnlyNotHonoured
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher


def test_run_in_a_store_that_overwrites_begins_nothing(
    search: LocalSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = (sys.executable, "-c", "raise SystemExit('not to be started')")
    monkeypatch.setattr("os.link", lambda source, target: Path(target).write_bytes(b"overwritten"))
    with pytest.raises(CreateOnlyNotHonoured, match="results could be lost there: use a folder"):
        search.run_here(QuietWatcher(), trainer=trainer)
    assert list(search.open().store.list("local/")) == []
