"""FLOPs and parameters of a complete detector, by the paper's counting (tables 2 and 4).

Counted are multiply-accumulates of convolutions and linear layers plus one per bias, 2 per element
of a batch norm and 1 per element of a ReLU. Pooling, residual and top-down sums, RoIAlign and the
choice of proposals count nothing. Images are of the nominal size, unpadded; every layer of stride
2 halves a side, rounding up. Parameters are the trained ones: no running statistics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from detnas.architecture import Architecture, Convolution, PlacedBlock
from detnas.records.settings import DetectorShape, Resolution

_ANCHORS = 3
_ROI = 7
_BACKBONE = ("stem", "stage 1", "stage 2", "stage 3", "stage 4")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs in one part of a detector, and what that part stores."""

    flops: int = 0
    parameters: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.parameters + other.parameters)


@dataclass(frozen=True, slots=True)
class DetectorCost:
    """Cost of a detector, part by part.

    Attributes:
        parts: ``stem``, ``stage 1`` to ``stage 4``, ``neck``, ``rpn``, ``box head``, in order.
    """

    parts: dict[str, Cost]

    @property
    def flops(self) -> int:
        """Of the complete detector, for one image."""
        return sum(part.flops for part in self.parts.values())

    @property
    def parameters(self) -> int:
        """Of the complete detector."""
        return sum(part.parameters for part in self.parts.values())

    @property
    def backbone(self) -> Cost:
        """Of stem and stages."""
        return sum((self.parts[name] for name in _BACKBONE), Cost())


class _Map(NamedTuple):
    """A feature map: sides in pixels, and channels."""

    height: int
    width: int
    channels: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def halved(self, channels: int) -> "_Map":
        return _Map((self.height + 1) // 2, (self.width + 1) // 2, channels)

    def with_channels(self, channels: int) -> "_Map":
        return _Map(self.height, self.width, channels)


def detector_cost(
    architecture: Architecture, shape: DetectorShape, classes: int, resolution: Resolution
) -> DetectorCost:
    """Count Faster R-CNN with an FPN around a backbone, for one image.

    Args:
        architecture: the backbone.
        shape: neck, heads, and how many proposals reach the box head.
        classes: classes of the data set, without background.
        resolution: size of the image.
    """
    image = _Map(resolution.height, resolution.width, 3)
    parts: dict[str, Cost] = {}
    parts["stem"], entry = _stem(image, architecture.stem)
    levels: list[_Map] = []
    for name, stage in zip(_BACKBONE[1:], _stages(architecture), strict=True):
        parts[name], entry = _stage(stage, entry)
        levels.append(entry)
    parts["neck"] = sum((_lateral(level, shape.neck) for level in levels), Cost())
    parts["rpn"] = _rpn([*levels, levels[-1].halved(shape.neck)], shape.neck)
    parts["box head"] = _box_head(shape, classes)
    return DetectorCost(parts)


def _stages(architecture: Architecture) -> Iterator[list[PlacedBlock]]:
    for number in range(len(architecture.stages)):
        yield [placed for placed in architecture.blocks if placed.place.stage == number]


def _stem(image: _Map, channels: int) -> tuple[Cost, _Map]:
    """A 7×7 convolution of stride 2 and a max-pool of stride 2."""
    out = image.halved(channels)
    convolution = Convolution("conv1", "bn1", image.channels, channels, 7, 2, activated=True)
    return _normed(convolution, out), out.halved(channels)


def _stage(blocks: list[PlacedBlock], entry: _Map) -> tuple[Cost, _Map]:
    cost = Cost()
    for placed in blocks:
        block_cost, entry = _block(placed, entry)
        cost += block_cost
    return cost, entry


def _block(placed: PlacedBlock, entry: _Map) -> tuple[Cost, _Map]:
    cost, at = Cost(), entry
    for convolution in placed.convolutions:
        at = _after(convolution, at)
        cost += _normed(convolution, at)
    if placed.projection is not None:
        cost += _normed(placed.projection, _after(placed.projection, entry))
    return cost + _relu(at), at


def _after(convolution: Convolution, entry: _Map) -> _Map:
    if convolution.stride == 2:
        return entry.halved(convolution.outputs)
    return entry.with_channels(convolution.outputs)


def _normed(convolution: Convolution, out: _Map) -> Cost:
    """A convolution without bias, its batch norm, and its ReLU where it has one."""
    weights = convolution.outputs * convolution.inputs // convolution.groups * convolution.kernel**2
    per_element = 3 if convolution.activated else 2
    return Cost(
        out.pixels * (weights + per_element * out.channels), weights + 2 * convolution.outputs
    )


def _relu(out: _Map) -> Cost:
    return Cost(out.pixels * out.channels)


def _biased(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution with bias: also its FLOPs at one place."""
    return outputs * (inputs * kernel**2 + 1)


def _lateral(level: _Map, neck: int) -> Cost:
    """The 1×1 lateral of a level and the 3×3 that smooths its sum."""
    parameters = _biased(level.channels, neck, 1) + _biased(neck, neck, 3)
    return Cost(level.pixels * parameters, parameters)


def _rpn(levels: list[_Map], neck: int) -> Cost:
    """One head shared by all levels: 3×3, then objectness and 4 offsets an anchor."""
    parameters = (
        _biased(neck, neck, 3) + _biased(neck, _ANCHORS, 1) + _biased(neck, 4 * _ANCHORS, 1)
    )
    pixels = sum(level.pixels for level in levels)
    return Cost(pixels * (parameters + neck), parameters)


def _box_head(shape: DetectorShape, classes: int) -> Cost:
    """Two shared layers, then classes with background, and one regression per class."""
    parameters = (
        _biased(shape.neck * _ROI**2, shape.fc, 1)
        + _biased(shape.fc, shape.fc, 1)
        + _biased(shape.fc, classes + 1, 1)
        + _biased(shape.fc, 4 * classes, 1)
    )
    return Cost(shape.proposals * (parameters + 2 * shape.fc), parameters)
