"""The chart's fixtures."""

import shutil
from pathlib import Path

import pytest

from tests.chart.rendering import ONE_TENANT, Chart, Objects
from tools.kubernetes.binaries import find


@pytest.fixture(scope="session")
def helm() -> Path:
    """The helm that was built for the tests, or the one of this machine."""
    found = find("helm") or shutil.which("helm")
    if not found:
        pytest.skip("no helm: run python3 dev.py kubernetes, or install it")
    return Path(found)


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    """The chart, ready to be rendered."""
    return Chart(helm)


@pytest.fixture(scope="session")
def rendered(chart: Chart) -> Objects:
    """What one tenant and otherwise the defaults give."""
    return chart.render(ONE_TENANT, definition=True)
