"""Batch norm statistics recomputed: what a subnet needs before it can be used.

A subnet's slices of the supernet's running statistics are not its own (paper, A.1.3): its batches
have other means and variances. They are recomputed over a few training batches.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detnas.errors import UserError


def reset_statistics(
    module: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the running statistics of every batch norm by those of the given batches.

    Each mean and variance becomes the mean, over the batches, of the batch's mean and of its
    unbiased variance (torch's cumulative average: every batch weighs the same). Layers are
    normalised with batch statistics meanwhile, as in training. Nothing but the statistics
    changes; no gradient is recorded.

    Args:
        module: holds the batch norms.
        batches: one N × 3 × H × W tensor each.
        forward: runs the batch norms on one batch; by default the module itself.

    Raises:
        UserError: there is no batch.
    """
    remaining = iter(batches)
    first = next(remaining, None)
    if first is None:
        raise UserError("0 batches for the batch norms' statistics", "give at least one image")
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    with _collecting(module, norms), torch.no_grad():
        for batch in chain([first], remaining):
            (forward or module)(batch)


@contextmanager
def _collecting(module: nn.Module, norms: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms cleared and averaging cumulatively; modes and momentums come back after."""
    modes = [(part, part.training) for part in module.modules()]
    momentums = [norm.momentum for norm in norms]
    module.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        yield
    finally:
        for norm, momentum in zip(norms, momentums, strict=True):
            norm.momentum = momentum
        for part, training in modes:
            part.training = training
