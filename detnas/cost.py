"""FLOPs and parameters of a complete detector, counted as in the paper (tables 2 and 4).

Counted are multiply-accumulates of convolutions and linear layers plus one per bias, 2 per element
of a batch norm and 1 per element of a ReLU or ReLU6. Pooling, residual and top-down sums, RoIAlign
and the selection of proposals are not counted. Images have the nominal size, unpadded; every layer
of stride 2 halves a side, rounding up. A deformable convolution counts as a plain one and the one
that gives its offsets; sampling is not counted, as in RoIAlign. Parameters are the trained ones: no
running statistics.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from detnas.architecture import Architecture, Convolution
from detnas.records.settings import DetectorShape, Resolution

_BACKBONE = ("stem", "stage 1", "stage 2", "stage 3", "stage 4")
_LOWEST_LEVEL = 2
"""Halvings of the image before the lowest level of the feature pyramid."""
_TOP_LEVEL = 6
"""Halvings of the image before the highest level of the feature pyramid."""


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
    def backbone_parts(self) -> dict[str, Cost]:
        """Stem and stages."""
        return {name: self.parts[name] for name in _BACKBONE}

    @property
    def backbone(self) -> Cost:
        """Of stem and stages."""
        return sum(self.backbone_parts.values(), Cost())


class _Layer(NamedTuple):
    """A layer, whatever the size of the image.

    Attributes:
        halvings: how often the image's sides were halved before the layer's output.
        flops: per pixel of the output.
    """

    halvings: int
    flops: int
    parameters: int


def detector_cost(
    architecture: Architecture, shape: DetectorShape, classes: int, resolution: Resolution
) -> DetectorCost:
    """Return the cost of Faster or Cascade R-CNN with an FPN around a backbone, for one image.

    Args:
        architecture: the backbone.
        shape: neck, heads, and how many proposals reach the box head.
        classes: classes of the data set, without background.
        resolution: size of the image.
    """
    return detector_costs(architecture, shape, classes, [resolution])[resolution]


def detector_costs(
    architecture: Architecture,
    shape: DetectorShape,
    classes: int,
    resolutions: Iterable[Resolution],
) -> dict[Resolution, DetectorCost]:
    """Like `detector_cost`, for images of several sizes."""
    layers = {**_backbone(architecture), **_neck_and_rpn(architecture, shape)}
    box_head = _box_head(shape, classes)
    costs: dict[Resolution, DetectorCost] = {}
    for resolution in resolutions:
        pixels = _pixels(resolution)
        parts = {name: _sum(part, pixels) for name, part in layers.items()}
        costs[resolution] = DetectorCost({**parts, "box head": box_head})
    return costs


def _pixels(resolution: Resolution) -> list[int]:
    """Pixels of the image, and of the feature maps after each halving of its sides."""
    height, width = resolution.height, resolution.width
    pixels = [height * width]
    for _ in range(_TOP_LEVEL):
        height, width = (height + 1) // 2, (width + 1) // 2
        pixels.append(height * width)
    return pixels


def _sum(layers: list[_Layer], pixels: list[int]) -> Cost:
    return Cost(
        sum([layer.flops * pixels[layer.halvings] for layer in layers]),
        sum([layer.parameters for layer in layers]),
    )


def _backbone(architecture: Architecture) -> dict[str, list[_Layer]]:
    """The stem with its max-pool of stride 2, if it has one, and the stages."""
    parts: dict[str, list[_Layer]] = {name: [] for name in _BACKBONE}
    halvings = 0
    for convolution in architecture.traits.stem_convolutions(architecture.stem):
        halvings += convolution.stride == 2
        parts["stem"].append(_normed(convolution, halvings))
    halvings += architecture.traits.pools
    for placed in architecture.blocks:
        stage = parts[_BACKBONE[placed.place.stage + 1]]
        for convolution in placed.convolutions:
            halvings += convolution.stride == 2
            stage.append(_normed(convolution, halvings))
        if (offsets := architecture.offsets(placed)) is not None:
            count = _biased(offsets.inputs, offsets.outputs, offsets.kernel)
            stage.append(_Layer(halvings, count, count))
        if placed.projection is not None:
            stage.append(_normed(placed.projection, halvings))
        if architecture.traits.activates_sum:
            stage.append(_Layer(halvings, placed.block.out, 0))
    if architecture.head is not None:
        parts["stage 4"].append(_normed(architecture.head, halvings))
    return parts


def _normed(convolution: Convolution, halvings: int) -> _Layer:
    """A convolution without bias, its batch norm, and its ReLU where it has one."""
    weights = convolution.outputs * convolution.inputs // convolution.groups * convolution.kernel**2
    per_channel = 3 if convolution.activated else 2
    return _Layer(
        halvings, weights + per_channel * convolution.outputs, weights + 2 * convolution.outputs
    )


def _neck_and_rpn(architecture: Architecture, shape: DetectorShape) -> dict[str, list[_Layer]]:
    """The neck: for each stage a 1×1 lateral, and the 3×3 that smooths its sum.

    The RPN is one head shared by all levels: 3×3, then objectness and 4 offsets per anchor.
    """
    neck, anchors = shape.neck, shape.anchors
    laterals = [
        _biased(channels, neck, 1) + _biased(neck, neck, 3) for channels in architecture.neck_inputs
    ]
    head = _biased(neck, neck, 3) + _biased(neck, anchors, 1) + _biased(neck, 4 * anchors, 1)
    levels = range(_LOWEST_LEVEL, _TOP_LEVEL + 1)
    return {
        "neck": [
            _Layer(level, count, count) for level, count in zip(levels, laterals, strict=False)
        ],
        "rpn": [
            _Layer(level, head + neck, head if level == _LOWEST_LEVEL else 0) for level in levels
        ],
    }


def _biased(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution with bias, and its FLOPs at one position."""
    return outputs * (inputs * kernel**2 + 1)


def _box_head(shape: DetectorShape, classes: int) -> Cost:
    """Two shared layers, then classes with background, and one regression per class.

    A cascade has such a head in each stage, through which all proposals pass, with one regression
    for all classes.
    """
    regressions = 1 if shape.is_cascade else classes
    parameters = (
        _biased(shape.neck * shape.roi_size**2, shape.fc, 1)
        + _biased(shape.fc, shape.fc, 1)
        + _biased(shape.fc, classes + 1, 1)
        + _biased(shape.fc, 4 * regressions, 1)
    )
    stages = len(shape.box_stages)
    return Cost(
        stages * shape.proposals * (parameters + 2 * shape.fc),
        stages * parameters,
    )
