"""The convolutions inside one residual block, for each family of backbones.

A family is one entry of `FAMILIES`: how many widths a block has, and which convolutions a block of
given widths consists of. Cost counting, pruning and the slices of the supernet use that list. A new
family (ResNeXt, MobileNetV2) is added here, and to the self-contained backbone of the trainer.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Family(StrEnum):
    """Kind of residual block a backbone is made of (paper, A.1.1)."""

    BASIC = "Basic"
    BOTTLENECK = "Bottleneck"


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with the batch norm that follows it.

    Attributes:
        name: state-dict name of the convolution inside its block, such as ``conv1``.
        norm: state-dict name of its batch norm, such as ``bn1``.
        inputs: input channels.
        outputs: output channels.
        kernel: side of the square kernel, in pixels.
        stride: stride, in pixels.
        activated: a ReLU follows directly; false before the residual sum and on the shortcut.
        groups: groups of the convolution.
    """

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    activated: bool
    groups: int = 1


class BlockFamily(Protocol):
    """The blocks of a family."""

    arity: int

    def convolutions(
        self, widths: tuple[int, ...], inputs: int, stride: int
    ) -> tuple[Convolution, ...]:
        """Convolutions of the residual branch, in order, for a block of these widths."""
        ...


class BasicFamily:
    """Two 3×3 convolutions; widths are (conv1 out, block out)."""

    arity = 2

    def convolutions(
        self, widths: tuple[int, ...], inputs: int, stride: int
    ) -> tuple[Convolution, ...]:
        """The stride is in the first convolution."""
        inner, out = widths
        return (
            Convolution("conv1", "bn1", inputs, inner, 3, stride, activated=True),
            Convolution("conv2", "bn2", inner, out, 3, 1, activated=False),
        )


class BottleneckFamily:
    """1×1, 3×3, 1×1; widths are (conv1 out, conv2 out, block out)."""

    arity = 3

    def convolutions(
        self, widths: tuple[int, ...], inputs: int, stride: int
    ) -> tuple[Convolution, ...]:
        """The stride is in the 3×3 convolution."""
        reduced, inner, out = widths
        return (
            Convolution("conv1", "bn1", inputs, reduced, 1, 1, activated=True),
            Convolution("conv2", "bn2", reduced, inner, 3, stride, activated=True),
            Convolution("conv3", "bn3", inner, out, 1, 1, activated=False),
        )


FAMILIES: dict[Family, BlockFamily] = {
    Family.BASIC: BasicFamily(),
    Family.BOTTLENECK: BottleneckFamily(),
}


def projection(inputs: int, outputs: int, stride: int) -> Convolution:
    """The 1×1 convolution on a block's shortcut where its width changes or its stride is 2."""
    return Convolution("downsample.0", "downsample.1", inputs, outputs, 1, stride, activated=False)
