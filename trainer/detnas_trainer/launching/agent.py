"""torch's elastic agent, which starts this node's processes and reports how they ended."""

import logging
import socket
import sys
import threading

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from detnas.exit_codes import ExitCode
from detnas_trainer.launching.nodes import Nodes

_WORKER = "detnas_trainer.launching.worker"
_KNOWN = frozenset(ExitCode)
FINAL = frozenset({ExitCode.USAGE, ExitCode.DATA_CHANGED})
"""Ends of rank 0 that end the entire job: another attempt would end alike."""

log = logging.getLogger("detnas_trainer")


class Agent:
    """The agent in a thread of its own: the main one stays free for signals."""

    def __init__(self, nodes: Nodes, verb: str, uri: str) -> None:
        self._nodes = nodes
        self._job = (verb, uri)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.code: int | None = None
        """How the processes ended: 0, or the exit code of the first that failed."""

    def start(self) -> None:
        """Start the processes; their ranks follow from the node's index."""
        logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether all processes have ended, within ``seconds``."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            elastic_launch(self._config(), sys.executable)("-m", _WORKER, *self._job)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            log.info("rank %d ended with %d", rank, failure.exitcode)
            self.code = failure.exitcode
        except Exception as error:  # noqa: BLE001 - whatever it is, the nodes must meet again
            log.warning("the agent gave up: %s", error)
            self.code = ExitCode.INTERRUPTED
        else:
            self.code = ExitCode.DONE

    def _config(self) -> LaunchConfig:
        nodes = self._nodes
        return LaunchConfig(
            min_nodes=nodes.count,
            max_nodes=nodes.count,
            nproc_per_node=nodes.processes,
            run_id="detnas",
            rdzv_backend="static",
            rdzv_endpoint=f"{nodes.reachable_host}:{nodes.port}",
            rdzv_configs={"rank": nodes.index, "timeout": int(max(1, nodes.rendezvous_seconds))},
            max_restarts=0,  # the Job starts all nodes again
            monitor_interval=0.2,
            local_addr=socket.gethostname(),
            shutdown_timeout=5,
        )


def exit_code(ended: int | None, processes: int | None, *, stopping: bool) -> int:
    """The launcher's exit code; torchrun itself would make every failure a 1.

    Args:
        ended: rank 0's, if it is known.
        processes: of this node's processes, once they have ended.
        stopping: whether all were asked to stop before.
    """
    if ExitCode.DONE in (processes, ended):
        return ExitCode.DONE  # the others succeed only if rank 0 does
    if ended is not None and ended in FINAL:
        return ended
    if processes is not None and processes not in _KNOWN and not stopping:
        return ExitCode.FAILED  # killed: this node is why the others continue later
    if stopping or ended == ExitCode.INTERRUPTED:
        return ExitCode.INTERRUPTED
    return processes if processes in _KNOWN else ExitCode.FAILED
