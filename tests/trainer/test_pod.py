"""What a job finds in a pod: an unknown user, a home of its own, and little shared memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.conftest import Workplace, training

ROOT = Path(__file__).parents[2]
USER = 65532


def _unshared(*options: str, command: list[str], **environment: str) -> tuple[int, str]:
    """Run a command in namespaces of its own, or skip where the machine allows none."""
    prefix = ["unshare", "--user", *options]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody make a user namespace")
    done = subprocess.run(
        [*prefix, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


AS_THAT_USER = f"""
import os, sys
assert os.getuid() == {USER}
from detnas_trainer.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("home", ["home", "absent"])
def test_job_runs_as_an_unknown_user(workplace: Workplace, home: str) -> None:
    (workplace.root / "home").mkdir()
    uri = workplace.put(workplace.base_request("local/a/base", training=training(1)))
    code, printed = _unshared(
        f"--map-user={USER}",
        f"--map-group={USER}",
        command=[sys.executable, "-c", AS_THAT_USER, "base", uri],
        HOME=str(workplace.root / home if home == "home" else Path("/absent/home")),
        DETNAS_CACHE=str(workplace.root / "cache"),
    )
    assert code == 0, printed
    assert workplace.result("local/a/base").iterations == 3


LOADING = """
import sys
from pathlib import Path

from detnas.records.settings import Resolution
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.jobs.outcomes import classify
from tests.trainer.conftest import CLASSES, write_data_set

data = DetectionData(write_data_set(Path(sys.argv[1])), "train", CLASSES)
samples = data.samples(Resolution(width=640, height=640))
try:
    print(sum(len(batch["inputs"]) for batch in batches(data, [samples[:4]] * 3, workers=1)))
except RuntimeError as error:
    print(classify(error).message)
"""


@pytest.mark.parametrize(("size", "said"), [("100m", "12"), ("2m", "(/dev/shm) is full")])
def test_too_little_shared_memory_is_an_error_and_no_hang(
    tmp_path: Path, size: str, said: str
) -> None:
    script = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    code, printed = _unshared(
        "--map-root-user",
        "--mount",
        command=["sh", "-c", script, "sh", sys.executable, "-c", LOADING, str(tmp_path / "data")],
    )
    assert code == 0, printed
    assert said in printed.splitlines()[-1]
