import pytest
import torch

from detnas.exit_codes import ExitCode
from detnas.records.results import Outcome
from detnas_trainer.jobs.outcomes import classify
from detnas_trainer.training import memory
from detnas_trainer.training.memory import DeviceMemory

GIB = 1 << 30
ERROR = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the docs.")


def _device(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
    """A GPU of 80 GiB with sizes in GiB."""
    found = DeviceMemory(80 * GIB, *(sizes[name] * GIB for name in ("free", "reserved", "peak")))
    monkeypatch.setattr(memory, "device_memory", lambda: found)


def test_candidate_that_had_the_gpu_to_itself_is_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _device(monkeypatch, free=1, reserved=78, peak=77)
    failure = classify(ERROR)
    assert failure.outcome is Outcome.OUT_OF_MEMORY
    assert "peak 77.0 of 80.0 GiB" in failure.message
    assert "lower" in failure.message
    assert "\n" not in failure.message


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: out of memory",
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_library_without_memory_is_out_of_memory(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    _device(monkeypatch, free=1, reserved=78, peak=77)
    assert classify(RuntimeError(words)).outcome is Outcome.OUT_OF_MEMORY
    assert classify(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")).outcome is None


def test_candidate_beside_another_process_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _device(monkeypatch, free=1, reserved=40, peak=39)
    failure = classify(ERROR)
    assert (failure.exit, failure.outcome) == (ExitCode.FAILED, None)
    assert "other processes hold 39.0 GiB of this GPU" in failure.message
