"""A store that does not keep what was created is refused before anything is entrusted to it."""

import sys
from pathlib import Path

import pytest

from detnas.runner.opening import Overrides, open_search
from detnas.runner.search_run import RunSettings, SearchRun
from detnas.runner.stopping import StopRequest
from detnas.store.errors import CreateOnlyNotHonoured
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher


def test_a_run_begins_nothing_in_a_store_that_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended = LocalSearch(tmp_path / "search")
    manifest = pretended.folder / "search.yaml"
    search = open_search(manifest, Overrides(str(pretended.root), parallelism=1))
    settings = RunSettings(trainer=(sys.executable, "-c", "raise SystemExit('not to be started')"))
    monkeypatch.setattr("os.link", lambda source, target: Path(target).write_bytes(b"overwritten"))
    with pytest.raises(CreateOnlyNotHonoured, match="results could be lost there: use a folder"):
        SearchRun(search, QuietWatcher(), StopRequest(), settings).run()
    assert list(search.store.list("local/")) == []
