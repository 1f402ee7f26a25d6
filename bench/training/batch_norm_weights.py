"""Histogram of the batch norms' weights in a detector's backbone (paper, figure 11).

    python -m bench.training.batch_norm_weights WEIGHTS [WEIGHTS …]

WEIGHTS are files of weights as a search stores them, such as those of two bases that were trained
with `distillation.bnWeight` and without, or of a pruned student. Printed is the share of |γ| in
each interval, by stage, one table for each file.
"""

import argparse
import re
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from detnas_trainer.weights import load_weights

EDGES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
_NORM = re.compile(r"backbone\.(?:layer(\d+)\..*\.)?(?:bn\d+|downsample\.1|norm\d*)\.weight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    for path in parser.parse_args().weights:
        print(path)
        print(f"{'stage':>8s}{'weights':>9s}" + "".join(f"{f'≥{low:g}':>8s}" for low in EDGES))
        for stage, scales in sorted(by_stage(load_weights(path).state).items()):
            shares = histogram(scales)
            cells = "".join(f"{100 * share:7.1f}%" for share in shares)
            print(f"{stage:>8s}{len(scales):9d}{cells}")


def by_stage(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """|γ| of every batch norm, by ``stem`` or the stage's number."""
    found = defaultdict[str, list[Tensor]](list)
    for name, tensor in state.items():
        if match := _NORM.fullmatch(name):
            found[match[1] or "stem"].append(tensor.abs())
    return {stage: torch.cat(scales) for stage, scales in found.items()}


def histogram(scales: Tensor) -> list[float]:
    """Share of the weights from each edge to the next, and from the last one on."""
    above = [(scales >= low).float().mean().item() for low in EDGES]
    return [low - high for low, high in zip(above, [*above[1:], 0.0], strict=True)]


if __name__ == "__main__":
    main()
