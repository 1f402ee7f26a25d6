"""The pixels that a detector takes, and the first convolution of one for those of another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from detnas_trainer.foreign.configuration import Settings, value_at


@dataclass(frozen=True, slots=True)
class Pixels:
    """Mean and deviation of red, green and blue, and whether the first input channel is red."""

    mean: list[float]
    std: list[float]
    is_rgb: bool


def pixels_of(given: Settings) -> Pixels | None:
    """A configuration's pixels, from mmengine's preprocessor, or from a pipeline of mmdet 2."""
    for path in ("model.data_preprocessor", "data_preprocessor", "img_norm_cfg"):
        if pixels := pixels_in(value_at(given, path)):
            return pixels
    for path in ("data.test", "test_pipeline", "data.val"):
        for step in _steps(value_at(given, path)):
            if pixels := pixels_in(step):
                return pixels
    return None


def pixels_in(settings: Any) -> Pixels | None:
    """The pixels of a preprocessor or a Normalize step; None if it lacks mean or deviation."""
    if not isinstance(settings, Mapping):
        return None
    mean, std = _colour(settings.get("mean")), _colour(settings.get("std"))
    if not (mean and std and all(x > 0 for x in std)):
        return None
    is_rgb = bool(settings.get("bgr_to_rgb", settings.get("to_rgb", False)))
    order = 1 if is_rgb else -1
    return Pixels(mean[::order], std[::order], is_rgb)


def for_our_pixels(weight: Tensor, theirs: Pixels, ours: Pixels) -> Tensor:
    """The first convolution's weight, O × 3 × K × K, for our order and deviations."""
    in_rgb = weight if theirs.is_rgb else weight.flip(1)
    ratios = [mine / other for mine, other in zip(ours.std, theirs.std, strict=True)]
    scaled = in_rgb * weight.new_tensor(ratios).view(1, 3, 1, 1)
    return scaled if ours.is_rgb else scaled.flip(1)


def _colour(value: Any) -> list[float]:
    """Three numbers; empty if a value is anything else."""
    numbers = value if isinstance(value, list | tuple) else ()
    is_colour = len(numbers) == 3 and all(isinstance(x, int | float) for x in numbers)
    return [float(x) for x in numbers] if is_colour else []


def _steps(value: Any) -> Iterator[Settings]:
    """Every step named Normalize, at any depth."""
    if isinstance(value, Mapping):
        if value.get("type") == "Normalize":
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _steps(one)
