"""From how a job's work ended to its result's outcome and the process's exit code."""

from dataclasses import dataclass

from detnas.data_identity import DataChangedError
from detnas.errors import UserError
from detnas.exit_codes import ExitCode
from detnas.own_data.coco_json import DataError
from detnas.records.results import Outcome
from detnas.store.errors import StoreError
from detnas_trainer.latency import OtherDeviceError
from detnas_trainer.ranks.group import is_lost_peer
from detnas_trainer.training.gradients import DivergedError
from detnas_trainer.training.interruption import Interrupted
from detnas_trainer.training.memory import explain, is_out_of_memory

_SHARED_MEMORY = (
    "shared memory (/dev/shm) is full: processes that load images pass them on through it; "
    "raise spec.jobs.sharedMemory, or the size of /dev/shm"
)


@dataclass(frozen=True)
class Failure:
    """How a job failed.

    Attributes:
        exit: the process's exit code, once the result is written where there is to be one.
        message: one line for people.
        outcome: of the result to write; None if another attempt may do better.
        expected: no fault of the program, so no traceback is logged.
    """

    exit: ExitCode
    message: str
    outcome: Outcome | None = None
    expected: bool = True


def classify(error: BaseException) -> Failure:
    """Classify an error: of the candidate, or of the infrastructure.

    The candidate's own failures get a result, which completes the job. After a failure of the store
    or the data set no result is written, so that the job can be retried; after a changed data set,
    only once it was restored. So it is where other processes filled the GPU, and on a device whose
    latencies do not count.
    """
    message = str(error) or type(error).__name__
    is_lost = is_lost_peer(error)
    if is_lost or isinstance(error, Interrupted):
        cause = "another rank is gone" if is_lost else str(error) or "interrupted"
        return Failure(ExitCode.INTERRUPTED, f"{cause}; started again, this job resumes")
    if is_out_of_memory(error):
        return _of_memory(error)
    if isinstance(error, DivergedError):
        return Failure(ExitCode.DONE, message, Outcome.DIVERGED)
    full = _is_out_of_shared_memory(message)
    changed = isinstance(error, DataChangedError)
    elsewhere = isinstance(error, StoreError | DataError | OSError | OtherDeviceError)
    if full or changed or elsewhere:
        code = ExitCode.DATA_CHANGED if changed else ExitCode.FAILED
        return Failure(code, _SHARED_MEMORY if full else message)
    if isinstance(error, UserError):
        return Failure(ExitCode.DONE, message, Outcome.INVALID)
    return Failure(ExitCode.FAILED, message, expected=False)


def _of_memory(error: BaseException) -> Failure:
    """The candidate's fault only if it had its device to itself."""
    shortage = explain(error, "lower evaluationBatch or the largest resolution")
    if shortage.had_device:
        return Failure(ExitCode.DONE, str(shortage), Outcome.OUT_OF_MEMORY)
    return Failure(ExitCode.FAILED, str(shortage))


def _is_out_of_shared_memory(message: str) -> bool:
    """Whether torch's loader found no room; if that runs out during a write, it gets a SIGBUS."""
    return "shared memory(shm)" in message or (
        "DataLoader worker" in message and "Bus error" in message
    )
