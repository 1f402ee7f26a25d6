"""An interrupted build of an image ends at once, whatever its step is doing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.seaweed import DIE_WITH_PARENT

STOPPABLE = Path(__file__).parents[2] / "tools/node/stoppable.py"
CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]


def test_sigterm_ends_the_containers_process_but_not_its_parent(tmp_path: Path) -> None:
    if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a process namespace")
    started = tmp_path / "started"
    # The first process of a namespace ignores SIGTERM, as that of a container does.
    step = f"{' '.join(CONTAINER)} sh -c 'touch {started}; sleep 300'; echo the step ended: $?"
    command = [sys.executable, "-c", DIE_WITH_PARENT, sys.executable, str(STOPPABLE), "sh", "-c"]
    process = subprocess.Popen(
        [*command, step], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    until = time.monotonic() + 120
    while not started.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert said.startswith("the step ended: ")
    assert "ended: 0" not in said
    assert process.returncode == 0
