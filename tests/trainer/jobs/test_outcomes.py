import errno

import pytest
import torch

from detnas.data_identity import DataChangedError
from detnas.errors import UserError
from detnas.own_data.coco_json import DataError
from detnas.records.results import Outcome
from detnas.store.errors import CorruptArtifact, StoreFull
from detnas_trainer.evolve import InvalidActionError
from detnas_trainer.jobs.outcomes import classify
from detnas_trainer.latency import OtherDeviceError
from detnas_trainer.training.gradients import DivergedError
from detnas_trainer.training.interruption import Interrupted


@pytest.mark.parametrize(
    ("error", "exit_code", "outcome"),
    [
        (InvalidActionError("stage 1 has one block"), 0, Outcome.INVALID),
        (UserError("no such thing"), 0, Outcome.INVALID),
        (DivergedError("loss is nan"), 0, Outcome.DIVERGED),
        (torch.OutOfMemoryError("CUDA out of memory"), 0, Outcome.OUT_OF_MEMORY),
        (MemoryError(), 0, Outcome.OUT_OF_MEMORY),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
            0,
            Outcome.OUT_OF_MEMORY,
        ),
        (Interrupted(), 75, None),
        (DataChangedError("the training annotations have changed"), 44, None),
        (StoreFull("no space left"), 1, None),
        (CorruptArtifact("damaged"), 1, None),
        (OtherDeviceError("Tesla T4", "NVIDIA A100"), 1, None),
        (DataError("image 3.png is missing"), 1, None),
        (OSError(errno.ENOSPC, "No space left on device"), 1, None),
        (RuntimeError("a bug"), 1, None),
    ],
)
def test_classify_maps_errors_to_exit_code_and_outcome(
    error: Exception, exit_code: int, outcome: Outcome | None
) -> None:
    failure = classify(error)
    assert (failure.exit, failure.outcome) == (exit_code, outcome)
    assert failure.message


def test_classify_expects_every_error_but_bugs() -> None:
    assert not classify(KeyError("x")).expected
    assert classify(StoreFull("no space left")).expected


@pytest.mark.parametrize(
    "message",
    [
        "Caught RuntimeError in DataLoader worker process 0.\n"  # noqa: ISC004
        "RuntimeError: unable to allocate shared memory(shm) for file </torch_1_2_0>",
        "DataLoader worker (pid 7) is killed by signal: Bus error.",
    ],
)
def test_classify_names_a_full_shared_memory(message: str) -> None:
    failure = classify(RuntimeError(message))
    assert (failure.exit, failure.outcome, failure.expected) == (1, None, True)
    assert "jobs.sharedMemory" in failure.message


def test_classify_recognises_real_exhaustion_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert classify(caught.value).outcome is Outcome.OUT_OF_MEMORY
