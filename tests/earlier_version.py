"""An earlier version of the packages and the chart, as the history has it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REVISION = "fd365f8"
"""Before records had a format: every record and every request was written with all its fields."""

BEFORE_SESSIONS = "62a6f6c"
"""Before `SearchSession`: ledger, records and lease as several modules wrote them."""

FOLDERS = ("detnas", "trainer", "operator", "charts")


@dataclass(frozen=True, slots=True)
class Earlier:
    """Where it lies.

    Attributes:
        python_path: under which its packages are imported.
    """

    folder: Path

    @property
    def chart(self) -> Path:
        """Its Helm chart."""
        return self.folder / "charts" / "detnas"

    @property
    def python_path(self) -> str:
        return ":".join(str(self.folder / name) for name in ("", "trainer", "operator"))


@pytest.fixture(scope="session")
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    """The earlier version of the packages and the chart; a parameter chooses another revision."""
    return check_out(tmp_path_factory, getattr(request, "param", REVISION), *FOLDERS)


def check_out(tmp_path_factory: pytest.TempPathFactory, revision: str, *folders: str) -> Earlier:
    """Check out folders of a revision; skip the test if this is no clone or a shallow one."""
    command = ["git", "-C", str(ROOT), "archive", revision, *folders]
    try:
        archive = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the history has no {revision}: {error}")
    folder = tmp_path_factory.mktemp("earlier")
    subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
    return Earlier(folder)
