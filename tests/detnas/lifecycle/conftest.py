"""A store and a scheduler for each test."""

from pathlib import Path

import pytest

from detnas.store import Store, open_store
from tests.detnas.searches.in_process import Scheduler


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    return Scheduler(tmp_path)
