"""When memory runs out: whose fault it is, and what to do about it."""

import gc
from dataclasses import dataclass

import torch

from detnas_trainer.training.interruption import Interrupted

_FOREIGN = 2 << 30
"""Bytes that a GPU's driver, context and libraries may hold beside torch's own."""


_ALLOCATIONS = (
    "DefaultCPUAllocator: can't allocate",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
)
"""In a plain RuntimeError: memory ended, and not torch's allocator of the GPU has said so."""


class OutOfMemoryError(RuntimeError):
    """Memory ran out.

    Attributes:
        had_device: nothing else filled the device, so that another attempt would end alike.
    """

    def __init__(self, message: str, had_device: bool) -> None:
        super().__init__(message)
        self.had_device = had_device


class RestartInParts(Interrupted):
    """Memory ran out on one of several ranks: all are started again, with smaller parts.

    Ranks wait for each other within a step, so that none can repeat a part of it alone.
    """


@dataclass(frozen=True)
class DeviceMemory:
    """A GPU's memory, in bytes.

    Attributes:
        total: of the GPU.
        free: for any process.
        reserved: by this process's allocator.
        peak: most that this process had allocated at once.
    """

    total: int
    free: int
    reserved: int
    peak: int

    @property
    def of_others(self) -> int:
        """Held by other processes, as far as this one can tell."""
        held = self.total - self.free - self.reserved
        return held if held > _FOREIGN else 0


def device_memory() -> DeviceMemory | None:
    """The memory of this process's GPU; None without one."""
    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return DeviceMemory(
        total, free, torch.cuda.memory_reserved(), torch.cuda.max_memory_allocated()
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the device or of the machine ran out."""
    if isinstance(error, MemoryError | OutOfMemoryError):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in names or (
        isinstance(error, RuntimeError) and any(part in str(error) for part in _ALLOCATIONS)
    )


def explain(error: BaseException, remedy: str) -> OutOfMemoryError:
    """Return an out of memory error that states the peak, whose fault it is, and what to do.

    Args:
        error: as it was raised, just now: other processes come and go.
        remedy: what to lower if the job had its device to itself.
    """
    if isinstance(error, OutOfMemoryError):
        return error
    memory = device_memory()
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    if memory is None:
        return OutOfMemoryError(f"{reason}; {remedy}", had_device=True)
    peak = f"peak {_gib(memory.peak)} of {_gib(memory.total)} GiB"
    if memory.of_others:
        other = f"other processes hold {_gib(memory.of_others)} GiB of this GPU"
        return OutOfMemoryError(f"{reason} ({peak}); {other}", had_device=False)
    return OutOfMemoryError(f"{reason} ({peak}); {remedy}", had_device=True)


def release_memory() -> None:
    """Return what is no longer used to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"
