"""A local search for each test."""

from pathlib import Path

import pytest

from tests.detnas.searches.local_run import LocalSearch


@pytest.fixture
def search(tmp_path: Path) -> LocalSearch:
    return LocalSearch(tmp_path / "search")
