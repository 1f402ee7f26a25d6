"""How long training stands still for a checkpoint, against writing it before the next step.

    python -m bench.training.checkpoint [--megabytes 1000] [--store s3://bucket/folder]

Weights and momenta of that size are saved in turn both ways. Beside them: the step of a thin
network while the thread writes, over the same step undisturbed.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from detnas.store import open_store
from detnas_trainer.training.checkpoint import Checkpoints

JOB = "bench/training/checkpoint"


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(arguments.store or (Path(folder) / "store").as_uri())
        checkpoints = Checkpoints(store, JOB, Path(folder), time.monotonic)
        tensors = _tensors(arguments.megabytes)
        before, after, beside, alone = [], [], [], []
        for turn in range(arguments.turns):
            before.append(_seconds(checkpoints, tensors, 2 * turn, wait=True))
            alone += list(_steps(checkpoints, at_most=20))
            after.append(_seconds(checkpoints, tensors, 2 * turn + 1, wait=False))
            beside += list(_steps(checkpoints))
        checkpoints.discard()
    size = sum(tensor.nbytes for tensor in tensors.values()) / 1e9
    print(f"{size:.2f} GB, medians of {arguments.turns}")
    print(f"written before the next step   {median(before):7.2f} s")
    print(f"copied, written by a thread    {median(after):7.2f} s")
    print(f"ratio                          {median(after) / median(before):7.3f}")
    print(f"a step while the thread writes {median(beside) / median(alone):7.2f} of one alone")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--store", help="URI; by default a temporary folder")
    parser.add_argument("--turns", type=int, default=3)
    return parser.parse_args()


def _tensors(megabytes: int) -> dict[str, Tensor]:
    return {f"model.{number}": torch.rand(5, 1000, 1000) for number in range(megabytes // 20)}


def _seconds(checkpoints: Checkpoints, tensors: dict[str, Tensor], step: int, wait: bool) -> float:
    start = time.perf_counter()
    checkpoints.save(1, step, tensors)
    if wait:
        checkpoints.wait()
    return time.perf_counter() - start


def _steps(checkpoints: Checkpoints, at_most: int | None = None) -> Iterator[float]:
    """Seconds of one step after the other, so many or while a checkpoint is being written."""
    network = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3))
    images = torch.rand(4, 3, 128, 128)
    done = 0
    while done < at_most if at_most is not None else checkpoints.is_writing():
        start = time.perf_counter()
        network(images).sum().backward()
        yield time.perf_counter() - start
        done += 1
    checkpoints.wait()


if __name__ == "__main__":
    main()
