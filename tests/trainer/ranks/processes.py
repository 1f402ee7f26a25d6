"""Runs a module's `main` as several ranks of this machine, with what torchrun would give them."""

import importlib
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.ports import free_ports

PATIENCE = 300.0
PRELOADED = ("tests.trainer.ranks.computed", "tests.trainer.ranks.short_of_memory")


def run_ranks(module: str, count: int, *arguments: str) -> list[str]:
    """Run ``python -m module arguments`` once per rank; all must exit with 0.

    The ranks are forked from a server that has their imports, which would take most of the time;
    not from this process, whose threads and libraries are in whatever state earlier tests left.

    Returns:
        The output of each.
    """
    (port,) = free_ports(1)
    until = time.monotonic() + PATIENCE
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / f"{rank}.txt" for rank in range(count)]
        ranks = [
            context.Process(
                target=_run,
                args=(module, arguments, rank_environment(rank, count, port), log),
            )
            for rank, log in enumerate(logs)
        ]
        try:
            for process in ranks:
                process.start()
            for process in ranks:
                process.join(max(0.0, until - time.monotonic()))
        finally:
            for process in ranks:
                process.kill()
                process.join()
        outputs = [log.read_text() for log in logs]
    assert [process.exitcode for process in ranks] == [0] * count, "\n----\n".join(outputs)
    return outputs


def _run(module: str, arguments: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
    with log.open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        sys.stdout = sys.stderr = output  # pytest has replaced both
        os.environ.update(environment)
        sys.argv = [module, *arguments]
        importlib.import_module(module).main()


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
