"""Uniformly narrower architectures: every width scaled by one ratio."""

import math
from collections.abc import Callable, Iterator

from detnas.architecture import Architecture, Block, Place

_HALVINGS = 30
"""Of the interval that holds the ratio: below one channel for any width."""


def narrowed_to(
    architecture: Architecture,
    flops: Callable[[Architecture], int],
    most: int,
    *,
    minimum: int = 1,
    divisor: int = 1,
) -> Architecture:
    """Return the widest architecture of uniformly scaled widths that costs at most so much.

    The stem keeps its width, and a residual stream that it heads, as in channel pruning. If even
    the narrowest costs more, that is returned; if the architecture itself costs no more, it is.

    Args:
        architecture: what is scaled.
        flops: returns what an architecture costs.
        most: what the result may cost.
        minimum: channels that stay in every convolution, if it has as many.
        divisor: changed widths are multiples of this.
    """
    if flops(architecture) <= most:
        return architecture
    low, high = 0.0, 1.0
    best = narrowed(architecture, low, minimum=minimum, divisor=divisor)
    for _ in range(_HALVINGS):
        ratio = (low + high) / 2
        found = narrowed(architecture, ratio, minimum=minimum, divisor=divisor)
        if flops(found) <= most:
            low, best = ratio, found
        else:
            high = ratio
    return best


def narrowed(
    architecture: Architecture, ratio: float, *, minimum: int = 1, divisor: int = 1
) -> Architecture:
    """Return the architecture with every width scaled by a ratio of at most 1, to the nearest.

    Blocks that share a residual stream share its width; inner widths of a ResNeXt block are
    multiples of its group width. Streams of different widths stay different, because equal ones
    would make one stream of them.

    Args:
        architecture: what is scaled.
        ratio: of new widths to present ones.
        minimum: channels that stay in every convolution, if it has as many.
        divisor: changed widths are multiples of this.
    """
    streams = dict(_stream_widths(architecture, ratio, minimum, divisor))

    def scaled(place: Place, block: Block) -> Block:
        group = block.group_width or 1
        step, least = math.lcm(group, divisor), group if block.group_width else minimum
        inner = (_scaled(width, ratio, least, step) for width in block.widths[:-1])
        return Block(widths=(*inner, streams[place]), group_width=block.group_width)

    return Architecture(
        family=architecture.family,
        stem=architecture.stem,
        stages=tuple(
            tuple(scaled(Place(s, b), block) for b, block in enumerate(stage))
            for s, stage in enumerate(architecture.stages)
        ),
        deformable=architecture.deformable,
    )


def _stream_widths(
    architecture: Architecture, ratio: float, minimum: int, divisor: int
) -> Iterator[tuple[Place, int]]:
    """Yield the width of each block's residual stream."""
    before = now = architecture.stem
    for group in architecture.residual_groups:
        width = group.width
        if not group.headed_by_stem:
            width = _scaled(group.width, ratio, minimum, divisor)
            if width == now and group.width > before:
                width = min(group.width, width + divisor)
            elif width == now and group.width < before:
                width = width - divisor if width > divisor else width - 1
        yield from ((place, width) for place in group.members)
        before, now = group.width, width


def _scaled(width: int, ratio: float, minimum: int, step: int) -> int:
    """The multiple of a step nearest to the scaled width; never wider than it was."""
    least = math.ceil(minimum / step) * step
    return min(width, max(least, step * round(ratio * width / step)))
