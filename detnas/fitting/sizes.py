"""Resolutions, anchors and proposals that fit a data set's images and objects."""

from dataclasses import dataclass

from detnas.own_data.facts import DataFacts
from detnas.records.settings import Resolution

_STEPS = (0.5, 0.625, 0.75, 1.0)
"""Sides of the resolutions over those of the largest; the paper's are 0.5, 0.67, 0.85 and 1."""

_MULTIPLE = 16
"""Pixels; of every side, so that images are padded little."""

_STRIDE = 4
"""Pixels; of the FPN's finest level."""

_MEDIAN_STEP = 0.75
_COCO_ANCHOR = 8
_RATIOS = (0.5, 1.0, 2.0)
_WIDE, _TALL = 1 / 3, 3.0
"""Ratios beyond which the usual anchors match an object badly."""


@dataclass(frozen=True)
class SizeLimits:
    """What the base resolution aims at.

    Attributes:
        object_pixels: side that the smallest objects but 5 % should have.
        shortest: least length of the longer side.
        longest: greatest length of it.
        enlarged: how much larger than the images it may be.
    """

    object_pixels: int
    shortest: int
    longest: int
    enlarged: float


ON_CPU = SizeLimits(object_pixels=16, shortest=128, longest=512, enlarged=1.0)
"""A step takes as long as it has pixels: objects get four cells of the finest level."""

ON_GPU = SizeLimits(object_pixels=32, shortest=512, longest=1333, enlarged=2.1)
"""The paper shows COCO, whose images have 640 pixels, at 1333."""


def resolutions(facts: DataFacts, limits: SizeLimits) -> tuple[Resolution, ...]:
    """Return four sizes, the smallest first, in the shape of the median image.

    At the largest, the objects at the 5 % quantile have the wanted side, unless the images are
    smaller than that, or the limits are reached.

    Args:
        facts: of the data set.
        limits: of the machine.
    """
    width, height = facts.size
    native = max(facts.size)
    wanted = limits.object_pixels / facts.sides.p5 if facts.sides.p5 else native
    bounds = (limits.shortest, limits.longest, max(native * limits.enlarged, limits.shortest))
    longest = max(bounds[0], min(wanted, *bounds[1:]))
    shapes = [
        Resolution(
            width=_rounded(step * longest * width / native),
            height=_rounded(step * longest * height / native),
        )
        for step in _STEPS
    ]
    return tuple(dict.fromkeys(shapes))


def _rounded(side: float) -> int:
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)


def object_pixels(share: float, resolution: Resolution) -> float:
    """Return the side of an object in pixels.

    Args:
        share: of the longer side of its image.
        resolution: that the image is resized to.
    """
    return share * max(resolution.width, resolution.height)


def anchor_scale(facts: DataFacts, base: Resolution) -> int:
    """Return the anchor scale whose smallest anchor is as large as the small objects.

    Those at the 5 % quantile, at three quarters of the base resolution; at most COCO's 8.
    """
    side = _MEDIAN_STEP * object_pixels(facts.sides.p5, base)
    return max(1, min(_COCO_ANCHOR, round(side / _STRIDE)))


def anchor_ratios(facts: DataFacts) -> tuple[float, ...]:
    """Return heights of the anchors over their widths: the usual, and those of slim objects."""
    more = {
        round(ratio, 2)
        for ratio, is_slim in (
            (facts.ratios.p5, 0 < facts.ratios.p5 < _WIDE),
            (facts.ratios.p95, facts.ratios.p95 > _TALL),
        )
        if is_slim
    }
    return tuple(sorted({*_RATIOS, *more}))


def proposals(facts: DataFacts) -> int:
    """Return how many proposals an image needs: five for each object of a full one, in hundreds."""
    return min(1000, max(100, -(-int(5 * facts.per_image.p95) // 100) * 100))
