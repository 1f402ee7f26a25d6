"""The convolutions of each family of backbones: of its stem, of its blocks, and after the last one.

A family is one entry of `FAMILIES`. Cost counting, pruning and the slices of the supernet use these
lists. A new family is added here, and to the self-contained backbone of the trainer.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

Widths = tuple[int, ...]


class Family(StrEnum):
    """Kind of residual block a backbone is made of (paper, A.1.1)."""

    BASIC = "Basic"
    BOTTLENECK = "Bottleneck"
    RESNEXT = "ResNeXt"
    MOBILENET_V2 = "MobileNetV2"


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


class BlockFamily(ABC):
    """What the backbones of a family have in common; the defaults are ResNet's.

    Attributes:
        arity: widths of a block.
        stem: usual output channels of the stem.
        grouped: a block has a group width, by which its inner channels are divided into groups.
        tied: the inner convolutions of a block have the same channels, one width for all.
        projects: a shortcut that cannot be the identity is a projection; else there is none.
        pools: a max-pool follows the stem, so that stage 1 keeps its size.
        activates_sum: a ReLU follows the residual sum.
        head: output channels of a 1×1 convolution between the last block and the neck, if any.
        deforms: the 3×3 convolution of a block can be deformable, as mmdet has it.
    """

    arity: int
    stem: int = 64
    grouped: bool = False
    tied: bool = False
    projects: bool = True
    pools: bool = True
    activates_sum: bool = True
    head: int | None = None
    deforms: bool = False

    @abstractmethod
    def convolutions(
        self, widths: Widths, inputs: int, stride: int, group_width: int | None = None
    ) -> tuple[Convolution, ...]:
        """Convolutions of the residual branch, in order, for a block of these widths."""

    def stem_convolutions(self, width: int) -> tuple[Convolution, ...]:
        """Convolutions before stage 1, in order."""
        return (Convolution("conv1", "bn1", 3, width, 7, 2, activated=True),)

    def problem(self, widths: Widths, group_width: int | None) -> str | None:
        """What is wrong with a block, as the object of "has"."""
        if len(widths) != self.arity:
            return f"{len(widths)} widths; blocks of its family have {self.arity}"
        if not self.grouped:
            return None if group_width is None else "a group width; only ResNeXt blocks have one"
        if group_width is None:
            return "no groupWidth; a ResNeXt block has one"
        first, *inner = widths[:-1]
        if any(width != first for width in inner):
            return f"inner widths {first} and {inner[0]}; those of a ResNeXt block are equal"
        if first % group_width:
            return f"{first} inner channels, which is no multiple of its group width {group_width}"
        return None


class BasicFamily(BlockFamily):
    """Two 3×3 convolutions; widths are (conv1 out, block out)."""

    arity = 2

    def convolutions(
        self, widths: Widths, inputs: int, stride: int, group_width: int | None = None
    ) -> tuple[Convolution, ...]:
        """The stride is in the first convolution."""
        del group_width  # it has no groups
        inner, out = widths
        return (
            Convolution("conv1", "bn1", inputs, inner, 3, stride, activated=True),
            Convolution("conv2", "bn2", inner, out, 3, 1, activated=False),
        )


class BottleneckFamily(BlockFamily):
    """1×1, 3×3, 1×1; widths are (conv1 out, conv2 out, block out)."""

    arity = 3
    deforms = True

    def convolutions(
        self, widths: Widths, inputs: int, stride: int, group_width: int | None = None
    ) -> tuple[Convolution, ...]:
        """The stride is in the 3×3 convolution."""
        reduced, inner, out = widths
        groups = inner // group_width if group_width else 1
        return (
            Convolution("conv1", "bn1", inputs, reduced, 1, 1, activated=True),
            Convolution("conv2", "bn2", reduced, inner, 3, stride, activated=True, groups=groups),
            Convolution("conv3", "bn3", inner, out, 1, 1, activated=False),
        )


class ResNeXtFamily(BottleneckFamily):
    """A Bottleneck whose 3×3 is divided into groups; conv1 and conv2 are equally wide."""

    grouped = True
    tied = True


class MobileNetV2Family(BlockFamily):
    """Inverted residuals: 1×1, depthwise 3×3, 1×1; widths are (expanded, block out).

    The stem contains the block of expansion 1, and each stage halves the size. A shortcut is the
    identity or absent. The ReLU is ReLU6, and the last convolution is linear.
    """

    arity = 2
    stem = 16
    tied = True
    projects = False
    pools = False
    activates_sum = False
    head = 1280

    def convolutions(
        self, widths: Widths, inputs: int, stride: int, group_width: int | None = None
    ) -> tuple[Convolution, ...]:
        """The stride is in the depthwise convolution."""
        del group_width  # every channel is a group
        wide, out = widths
        return (
            Convolution("conv1", "bn1", inputs, wide, 1, 1, activated=True),
            Convolution("conv2", "bn2", wide, wide, 3, stride, activated=True, groups=wide),
            Convolution("conv3", "bn3", wide, out, 1, 1, activated=False),
        )

    def stem_convolutions(self, width: int) -> tuple[Convolution, ...]:
        """3×3 of stride 2 to twice the stem's width, then the block of expansion 1."""
        wide = 2 * width
        return (
            Convolution("conv1", "bn1", 3, wide, 3, 2, activated=True),
            Convolution(
                "stem_block.conv1", "stem_block.bn1", wide, wide, 3, 1, activated=True, groups=wide
            ),
            Convolution("stem_block.conv2", "stem_block.bn2", wide, width, 1, 1, activated=False),
        )


FAMILIES: dict[Family, BlockFamily] = {
    Family.BASIC: BasicFamily(),
    Family.BOTTLENECK: BottleneckFamily(),
    Family.RESNEXT: ResNeXtFamily(),
    Family.MOBILENET_V2: MobileNetV2Family(),
}


def projection(inputs: int, outputs: int, stride: int) -> Convolution:
    """The 1×1 convolution on a block's shortcut where its width changes or its stride is 2."""
    return Convolution("downsample.0", "downsample.1", inputs, outputs, 1, stride, activated=False)
