"""Runs a Python module as several ranks of this machine, as torchrun would."""

import os
import subprocess
import sys
from pathlib import Path

from tests.ports import free_ports

ROOT = Path(__file__).parents[3]
PATIENCE = 300.0


def run_ranks(module: str, count: int, *arguments: str) -> list[str]:
    """Run ``python -m module arguments`` once per rank; all must exit with 0.

    Returns:
        The output of each.
    """
    (port,) = free_ports(1)
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **rank_environment(rank, count, port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0] * count, "\n----\n".join(outputs)
    return outputs


def rank_environment(rank: int, count: int, port: int) -> dict[str, str]:
    """The variables that torchrun gives a rank."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
