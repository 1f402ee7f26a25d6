"""Starts launchers of real jobs as processes of this machine, each as if on its own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detnas.records.keys import checkpoint_key
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas_trainer.training.checkpoint import CheckpointRecord
from tests.trainer.conftest import Workplace

ROOT = Path(__file__).parents[3]
PATIENCE = 300.0
"""Seconds for what takes a few on an idle machine."""


@dataclass(frozen=True)
class Launched:
    """A launcher that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def code(self) -> int:
        """Exit code, once it has ended."""
        return self.process.wait(PATIENCE)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def ranks(self) -> list[int]:
        """Process IDs of its ranks, lowest first."""
        found = []
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
                rank = [value for value in environment if value.startswith(b"LOCAL_RANK=")]
                found += [(rank[0], child)] if rank else []
        return [child for _, child in sorted(found)]


@contextlib.contextmanager
def launched(
    workplace: Workplace, verb: str, uri: str, name: str, **settings: str
) -> Iterator[Launched]:
    """Start a launcher; what is left of it is killed."""
    log = workplace.root / f"{name}.txt"
    environment = {
        **os.environ,
        "DETNAS_TERMINATION_LOG": str(workplace.root / f"message-{name}"),
        "DETNAS_CHECKPOINT_SECONDS": "0",
        "OMP_NUM_THREADS": "1",
        **settings,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "detnas_trainer.cli", "launch", verb, uri],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        yield Launched(process, log)
    except BaseException:
        print(log.read_text())
        raise
    finally:
        process.kill()
        process.wait()


def machine(index: int, port: int, processes: int = 1) -> dict[str, str]:
    """The environment of one of two machines."""
    return {
        "DETNAS_WORKERS": "2",
        "DETNAS_PROCESSES_PER_WORKER": str(processes),
        "DETNAS_RENDEZVOUS": f"127.0.0.1:{port}",
        "JOB_COMPLETION_INDEX": str(index),
    }


def newest_step(store: Store, job: str) -> int:
    """Steps that the checkpoints of a job hold."""
    listed = [key for key in store.list(f"{job}/attempts/") if key.endswith("/checkpoint.json")]
    numbers = [int(key.split("/")[-2]) for key in listed]
    records = [load_record(store, checkpoint_key(job, n), CheckpointRecord) for n in numbers]
    return max((record.iteration for record in records if record), default=0)


def wait_for_step(store: Store, job: str, step: int, is_alive: Callable[[], bool]) -> None:
    """Wait until a checkpoint of that step, or a later one, is stored."""
    end = time.monotonic() + PATIENCE
    while newest_step(store, job) < step:
        assert is_alive(), "the job ended too early"
        assert time.monotonic() < end, "the job did not get that far"
        time.sleep(0.05)
