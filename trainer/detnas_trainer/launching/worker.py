"""One process of a job on several nodes, started by torch's agent.

Rank 0 does the entire job: training is not distributed yet. The others meet it, wait until it
ends, and exit with its code.
"""

import logging
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from typing import NoReturn

import torch.distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from detnas.exit_codes import ExitCode
from detnas_trainer.jobs import run
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.launching.nodes import Nodes, nodes_from_environment
from detnas_trainer.launching.peers import CONNECTION_LOST, ENDED, STOP, connect
from detnas_trainer.process_setup import die_with
from detnas_trainer.training.interruption import exit_on_sigterm

_POLL = 0.5

log = logging.getLogger("detnas_trainer")


def main() -> None:
    """Run as the rank that the environment names, with the verb and URI of the command line."""
    die_with(os.getppid())
    set_up_logging()
    verb, uri = sys.argv[1:]
    with exit_on_sigterm():
        _leave(_as_rank(int(os.environ["RANK"]), verb, uri))


def _as_rank(rank: int, verb: str, uri: str) -> int:
    nodes = nodes_from_environment()
    try:
        keys = _join(rank, nodes)
        if rank:
            return _wait_for_rank_0(keys)
        threading.Thread(target=_forward_stop, args=(keys,), daemon=True).start()
    except CONNECTION_LOST as error:
        log.warning("rank %d lost the others: %s", rank, error)
        return ExitCode.INTERRUPTED
    log.info("all %d ranks are there; rank 0 does the entire job", nodes.count * nodes.processes)
    code = run(verb, uri)
    _publish_exit_code(nodes, code)
    return code


def _join(rank: int, nodes: Nodes) -> TCPStore:
    """Meet every rank once, and open the keys."""
    timeout = timedelta(seconds=nodes.rendezvous_seconds)
    torch.distributed.init_process_group("gloo", timeout=timeout)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    if rank:
        log.info("rank %d waits for rank 0: training is not distributed yet", rank)
    return connect(nodes.reachable_host, nodes.port, nodes.peer_seconds)


def _wait_for_rank_0(keys: TCPStore) -> int:
    while not keys.check([ENDED]):
        time.sleep(_POLL)
    return int(keys.get(ENDED))


def _forward_stop(keys: TCPStore) -> None:
    """Send SIGTERM to this process once all must stop, or once the keys cannot be reached."""
    try:
        while not keys.check([STOP]):
            time.sleep(_POLL)
    except CONNECTION_LOST:
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _publish_exit_code(nodes: Nodes, code: int) -> None:
    try:
        keys = connect(nodes.reachable_host, nodes.port, nodes.peer_seconds)
        keys.compare_set(ENDED, "", str(code))
    except CONNECTION_LOST as error:
        log.warning("rank 0's exit code was not published: %s", error)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the process group would make the end slow


if __name__ == "__main__":
    main()
