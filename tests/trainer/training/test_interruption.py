import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detnas_trainer.training.interruption import Interrupted, Interruption

ROOT = Path(__file__).parents[3]


def test_sigterm_interrupts_at_the_next_check() -> None:
    interruption = Interruption(patience=60)
    before = signal.getsignal(signal.SIGTERM)
    with interruption.on_sigterm():
        interruption.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.requested
        with pytest.raises(Interrupted):
            interruption.check()
    assert signal.getsignal(signal.SIGTERM) is before


STUCK = """
import time
from detnas_trainer.training.interruption import Interruption
with Interruption().on_sigterm():
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""
STARTING = """
import time
from detnas_trainer.training.interruption import exit_on_sigterm
with exit_on_sigterm():
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("program", "patience", "said"),
    [(STUCK, 1.0, "found no place to do so in 1 s"), (STARTING, 0.0, "asked to stop")],
)
def test_process_without_a_safe_place_exits_with_75_in_time(
    program: str, patience: float, said: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "DETNAS_STOP_SECONDS": str(patience)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    asked = time.monotonic()
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert patience <= time.monotonic() - asked < patience + 40
    assert said in errors
