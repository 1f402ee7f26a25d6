"""Activation checkpointing: a block keeps its input, and computes the rest again when needed.

What `torch.utils.checkpoint` does not know of is kept the same: the second forward pass, within the
backward pass, uses the slices of the subnet that the first one ran (see `supernet.elastic`), and
changes no batch norm's statistics.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

_HELD = ("_parameters", "_buffers", "_modules")


def recompute_blocks(backbone: Any) -> None:
    """Let each residual block keep its input alone for the backward pass, in place.

    Outputs, gradients and statistics stay what they are, names of tensors too.

    Args:
        backbone: an `EvolvableBackbone`.
    """
    for layer in backbone.layers:
        for block in layer:
            block.forward = partial(_forward, block, block.forward)


def _forward(block: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if not (block.training and torch.is_grad_enabled()):
        return plain(x)
    held = [(part, {name: dict(getattr(part, name)) for name in _HELD}) for part in block.modules()]
    output: Tensor = checkpoint(
        plain,
        x,
        use_reentrant=False,
        preserve_rng_state=False,  # a block draws nothing
        context_fn=lambda: (nullcontext(), _as_in_the_first_pass(held)),
    )
    return output


@contextmanager
def _as_in_the_first_pass(
    held: list[tuple[nn.Module, dict[str, dict[str, Any]]]],
) -> Iterator[None]:
    """Modules that hold what they held then; batch norms do not count the batch again."""
    now = [(part, {name: getattr(part, name) for name in _HELD}) for part, _ in held]
    norms = [part for part, _ in held if isinstance(part, _BatchNorm)]
    momentums = [norm.momentum for norm in norms]
    for part, state in held:
        vars(part).update(state)
    for norm in norms:
        # Statistics cannot be left out: the pass must save as many tensors as the first one.
        norm.momentum = 0.0
        norm._buffers = {**norm._buffers, "num_batches_tracked": None}
    try:
        yield
    finally:
        for part, state in now:
            vars(part).update(state)
        for norm, momentum in zip(norms, momentums, strict=True):
            norm.momentum = momentum
