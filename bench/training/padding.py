"""Pixels of padded batches over pixels of the images in them, with and without orientations.

    python -m bench.training.padding [--annotations instances_train2017.json] [--size 1333x800]

Without an annotation file the images are a synthetic mix of COCO's usual sizes: 73 % wider than
high, 23 % higher than wide, 4 % square.
"""

import argparse
import json
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detnas.records.settings import Resolution
from detnas_trainer.data.draws import BatchDraws, Groups, Sample, statistics_samples

MIX = {
    (640, 480): 30, (640, 427): 26, (500, 375): 8, (640, 360): 5, (640, 512): 4,
    (480, 640): 11, (427, 640): 8, (375, 500): 3, (360, 640): 1, (640, 640): 4,
}  # fmt: skip
"""Width and height of the synthetic images, with their shares in percent."""

DIVISOR = 32
SEED = 0


def main() -> None:
    arguments = _arguments()
    sizes = _sizes(arguments.annotations)
    resolution = Resolution.model_validate(arguments.size)
    shapes = _resized(sizes, resolution)
    portrait = sizes[:, 1] > sizes[:, 0]
    everything = (np.arange(len(sizes)),)
    oriented = (np.flatnonzero(~portrait), np.flatnonzero(portrait))
    print(f"{len(sizes)} images at {resolution}, {portrait.mean():.0%} higher than wide")
    print(f"{'':26s}{'mixed':>8s}{'oriented':>10s}")
    for size in arguments.batches:
        mixed, grouped = (_trained(shapes, g, size, resolution) for g in (everything, oriented))
        print(f"{f'training, batch {size}':26s}{mixed:8.2f}{grouped:10.2f}")
    mixed, grouped = (_statistics(shapes, g, resolution) for g in (everything, oriented))
    print(f"{'batch norms, 32 images':26s}{mixed:8.2f}{grouped:10.2f}")
    by_shape = np.argsort(sizes[:, 1] / sizes[:, 0], kind="stable")
    mixed, grouped = (_evaluated(shapes, order) for order in (everything[0], by_shape))
    print(f"{'evaluation, batch 8':26s}{mixed:8.2f}{grouped:10.2f}  (by aspect ratio)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--size", default="1333x800")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16, 64])
    return parser.parse_args()


def _sizes(annotations: Path | None) -> NDArray[np.int64]:
    """Width and height of each image, n × 2."""
    if annotations is not None:
        images = json.loads(annotations.read_bytes())["images"]
        return np.array([(image["width"], image["height"]) for image in images])
    images = [size for size, percent in MIX.items() for _ in range(200 * percent)]
    return np.random.default_rng(SEED).permutation(np.array(images))


def _resized(sizes: NDArray[np.int64], resolution: Resolution) -> NDArray[np.int64]:
    """Sizes within the resolution, turned where that makes them larger, as mmdet does."""
    long, short = sorted((resolution.width, resolution.height), reverse=True)
    factor = np.minimum(long / sizes.max(axis=1), short / sizes.min(axis=1))
    return np.rint(sizes * factor[:, None]).astype(np.int64)


def _trained(
    shapes: NDArray[np.int64], groups: Groups, batch: int, resolution: Resolution
) -> float:
    draws = BatchDraws(SEED, groups, batch, (resolution,), 0.0, 1)
    return _ratio(shapes, [draws.batch(iteration) for iteration in range(draws.iterations)])


def _statistics(shapes: NDArray[np.int64], groups: Groups, resolution: Resolution) -> float:
    return _ratio(
        shapes,
        [
            batch
            for seed in range(200)
            for batch in statistics_samples(seed, groups, 32, (resolution,) * 4)
        ],
    )


def _evaluated(shapes: NDArray[np.int64], order: NDArray[np.int64]) -> float:
    batches = [shapes[order[start : start + 8]] for start in range(0, len(order), 8)]
    return sum(map(_padded, batches)) / int(shapes.prod(axis=1).sum())


def _ratio(shapes: NDArray[np.int64], batches: Sequence[Sequence[Sample]]) -> float:
    drawn = [shapes[[sample.image for sample in batch]] for batch in batches]
    return sum(map(_padded, drawn)) / sum(int(batch.prod(axis=1).sum()) for batch in drawn)


def _padded(batch: NDArray[np.int64]) -> int:
    """Pixels of a batch, each image padded to the largest width and height."""
    width, height = (DIVISOR * ceil(side / DIVISOR) for side in batch.max(axis=0))
    return len(batch) * width * height


if __name__ == "__main__":
    main()
