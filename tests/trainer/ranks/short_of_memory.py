"""``python -m tests.trainer.ranks.short_of_memory VERB URI``: a rank of a job, of which rank 1 runs
out of memory: at iteration 1 with two images at once, at iteration 3 with one.

Prints a line of JSON at the end: the exit code, and by iteration how many images a part had.
"""

import json
import os
import sys
from typing import Any

from detnas_trainer import mmcv_ext

mmcv_ext.install()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from detnas_trainer.jobs import run  # noqa: E402
from detnas_trainer.ranks.group import join, rank  # noqa: E402
from detnas_trainer.trainee import DetectorTrainee, Losses  # noqa: E402

ROOM = {1: 1, 2: 1, 3: 0}
"""Images that rank 1 has room for, by iteration."""


def main() -> None:
    """Run the job as the rank that the environment names."""
    torch.set_num_threads(1)
    join()
    parts: dict[int, list[int]] = {}
    plain = DetectorTrainee.loss

    def loss(
        trainee: DetectorTrainee, iteration: int, inputs: Tensor, samples: list[Any]
    ) -> Losses:
        if rank() == 1 and len(inputs) > ROOM.get(iteration, 2):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        losses = plain(trainee, iteration, inputs, samples)
        parts.setdefault(iteration, []).append(len(inputs))
        return losses

    DetectorTrainee.loss = loss  # type: ignore[method-assign, assignment]
    code = run(*sys.argv[1:])
    print(json.dumps({"code": code, "parts": parts}), flush=True)
    os._exit(0)  # the other rank may wait for this one


if __name__ == "__main__":
    main()
