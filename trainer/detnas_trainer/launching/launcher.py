"""The process of a machine: starts its ranks with torch's elastic launcher, and ends as they do."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.store.errors import StoreError
from detnas_trainer.jobs.folder import JobFolder, open_folder
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.jobs.termination_message import write_termination_message
from detnas_trainer.launching.machines import Machines, machines_from_environment
from detnas_trainer.training.interruption import exit_now, exit_on_sigterm, stop_seconds

_RANK_PROCESS = "detnas_trainer.launching.rank_process"
_FINAL = (ExitCode.USAGE, ExitCode.DATA_CHANGED)
"""Ends of a rank after which another attempt would end alike."""

_SAME_TIME = 1
"""Seconds between the ends of ranks that torch's agent finds together."""

log = logging.getLogger("detnas_trainer")


def launch(verb: str, uri: str) -> int:
    """Run this machine's ranks of a job.

    Returns:
        The exit code, as `detnas_trainer.jobs.run` has it: of the rank that failed first; 75 also
        where the machines did not meet, or one was lost. The caller should leave the process with
        it at once.
    """
    set_up_logging()
    with exit_on_sigterm():
        try:
            machines = machines_from_environment()
            folder = open_folder(verb, uri)
            if folder.outcome() is not None:
                return _end_with("the result was there already", ExitCode.DONE)
        except StoreError as error:
            return _end_with(f"error: {error}", ExitCode.FAILED)
        except UserError as error:
            return _end_with(f"error: {error}", ExitCode.USAGE)
        with _exit_while_meeting():
            code = _run_ranks(machines, verb, uri)
    if code != ExitCode.DONE and _has_result(folder):
        return ExitCode.DONE  # the rank that failed has stored how
    return code


def _run_ranks(machines: Machines, verb: str, uri: str) -> int:
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    log.info("%d processes on each of %d machines", machines.processes, machines.count)
    try:
        elastic_launch(_configuration(machines), sys.executable)("-m", _RANK_PROCESS, verb, uri)
    except ChildFailedError as error:
        failures = error.failures.values()
        first = min(failure.timestamp for failure in failures)
        codes = [f.exitcode for f in failures if f.timestamp <= first + _SAME_TIME]
        shares_gpus = machines.count * machines.processes > 1 and torch.cuda.is_available()
        return exit_code(codes, aborts_without_peer=shares_gpus)
    except SignalException:
        return ExitCode.INTERRUPTED
    except (RendezvousError, DistError) as error:
        return _end_with(f"rendezvous: {error}", ExitCode.INTERRUPTED)
    except Exception as error:  # a fault of the launcher: an attempt that counts, with its trace
        log.exception("the ranks could not be launched")
        return _end_with(f"unexpected {type(error).__name__}: {error}", ExitCode.FAILED)
    return ExitCode.DONE


def exit_code(codes: Sequence[int], *, aborts_without_peer: bool = False) -> int:
    """Return the exit code of a machine whose ranks failed first with these codes.

    A rank that lost another ends with 75; it is not the cause where one ended otherwise.

    Args:
        codes: of the ranks; negative ones are signals.
        aborts_without_peer: a rank that lost another may also end with SIGABRT: while it waits for
            NCCL, torch's watchdog can only end its process.
    """
    for code in _FINAL:
        if code in codes:
            return code
    resumable = [ExitCode.INTERRUPTED, -signal.SIGTERM]
    if aborts_without_peer:
        resumable.append(-signal.SIGABRT)
    is_resumable = all(code in resumable for code in codes)
    return ExitCode.INTERRUPTED if is_resumable else ExitCode.FAILED


def _configuration(machines: Machines) -> LaunchConfig:
    static: dict[str, Any] = {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{machines.reachable_host}:{machines.port}",
        "rdzv_configs": {
            "rank": machines.index,
            "timeout": int(max(1, machines.rendezvous_seconds)),
        },
        "local_addr": socket.gethostname(),
    }
    alone: dict[str, Any] = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    return LaunchConfig(
        min_nodes=machines.count,
        max_nodes=machines.count,
        nproc_per_node=machines.processes,
        run_id="detnas",
        max_restarts=0,  # the Job starts all machines again
        monitor_interval=0.1,
        shutdown_timeout=int(stop_seconds()),
        **(alone if machines.count == 1 else static),
    )


@contextmanager
def _exit_while_meeting() -> Iterator[None]:
    """Let SIGTERM end this process also while torch waits for other machines in native code.

    Python's own handlers must wait until that returns. Once ranks run, the handler is torch's.
    """
    handler = signal.getsignal(signal.SIGTERM)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)

    def watch() -> None:
        with suppress(OSError):
            while os.read(woken, 1):
                if signal.getsignal(signal.SIGTERM) is handler:
                    exit_now("asked to stop")

    before = signal.set_wakeup_fd(wake)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(wake)


def _has_result(folder: JobFolder[Any]) -> bool:
    with suppress(StoreError):
        return folder.outcome() is not None
    return False


def _end_with(line: str, code: int) -> int:
    log.log(logging.ERROR if code else logging.INFO, "%s", line)
    write_termination_message(line)
    return code
