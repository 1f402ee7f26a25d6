"""One finished search, shared by the tests that only read it."""

from pathlib import Path

import pytest

from detnas.report.data import ReportData, gather
from tests.detnas.report.search_in_store import StoredSearch, finished_search

LOG = 'Out of memory in <script>alert("x")</script>\nthe log\'s second line & more'


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StoredSearch:
    """Thirty trials and those lost to the infrastructure, three at a time, some of which failed."""
    root = tmp_path_factory.mktemp("finished")
    return finished_search(root, 30, parallelism=3, failures={7: LOG})


@pytest.fixture(scope="session")
def data(finished: StoredSearch) -> ReportData:
    return gather(finished.store, finished.requests)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path
