"""One canvas: symbols (digits or glyphs) over a cluttered background, with their boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""

SUPERSAMPLING = 4
INK_THRESHOLD = 0.3
MAX_COVERED = 0.05
PLACING_ATTEMPTS = 60


@dataclass(frozen=True)
class CanvasSettings:
    """What a canvas looks like; lengths in pixels, ranges with both ends included.

    The fields are named for the digits: data sets record them.
    """

    size: int = 128
    min_digits: int = 3
    max_digits: int = 7
    min_digit_size: int = 18
    max_digit_size: int = 36
    max_clutter: int = 7


@dataclass(frozen=True)
class PlacedSymbol:
    """A symbol on a canvas: the index of its sample, and its box."""

    sample: int
    box: Box


def draw_canvas(
    inks: NDArray[np.float64],
    samples: NDArray[np.int64],
    settings: CanvasSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], list[PlacedSymbol]]:
    """Draw one canvas.

    `inks` holds every symbol with ink from 0 to 1, (N, side, side); only those whose index is in
    `samples` are drawn. Returns the RGB image (size, size, 3) and the symbols placed on it.
    """
    canvas = _background(settings.size, rng)
    for _ in range(rng.integers(2, settings.max_clutter + 1)):
        _blend(canvas, _clutter_ink(settings.size, rng), _lighter_colour(canvas, rng))
    placed: list[PlacedSymbol] = []
    for _ in range(rng.integers(settings.min_digits, settings.max_digits + 1)):
        sample = int(rng.choice(samples))
        ink = _symbol_ink(inks[sample], settings, rng)
        corner = _free_corner(ink.shape, settings.size, placed, rng)
        if corner is None:
            continue
        left, top = corner
        height, width = ink.shape
        region = canvas[top : top + height, left : left + width]
        _blend(region, ink, _lighter_colour(region, rng))
        placed.append(PlacedSymbol(sample, (left, top, width, height)))
    noise = rng.normal(0.0, rng.uniform(1.0, 8.0), canvas.shape)
    return np.clip(np.rint(canvas + noise), 0, 255).astype(np.uint8), placed


def _background(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A linear gradient between two colours plus a smooth random texture, (size, size, 3)."""
    start, end = rng.uniform(20, 110, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:size, 0:size] / (size - 1) - 0.5
    slope = np.clip(0.5 + rows * np.sin(angle) + columns * np.cos(angle), 0, 1)[..., None]
    texture = rng.normal(0, 8, (size // 16, size // 16))
    gradient: NDArray[np.float64] = start * (1 - slope) + end * slope
    return gradient + _resized(texture, size, size)[..., None]


def _clutter_ink(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A blob, a straight stroke, an arc or a bent line: shapes of a pen, but no symbols."""
    scale = SUPERSAMPLING
    image = Image.new("L", (size * scale, size * scale))
    draw = ImageDraw.Draw(image)
    centre = rng.uniform(0, size, 2)
    reach = rng.uniform(5, 24)
    width = int(rng.uniform(1.5, 5) * scale)
    corners = [tuple(float(v) for v in (centre + sign * reach) * scale) for sign in (-1, 1)]
    match rng.integers(4):
        case 0:
            shrunk = [tuple(float(v) for v in (centre + s * reach / 2) * scale) for s in (-1, 1)]
            draw.ellipse([*shrunk[0], *shrunk[1]], fill=255)
        case 1:
            points = centre + rng.uniform(-2 * reach, 2 * reach, (2, 2))
            draw.line([float(v) for v in points.ravel() * scale], fill=255, width=width)
        case 2:
            start = rng.uniform(0, 360)
            sweep = rng.uniform(40, 130)
            draw.arc([*corners[0], *corners[1]], start, start + sweep, fill=255, width=width)
        case _:
            points = centre + rng.uniform(-reach, reach, (4, 2))
            flat = [float(v) for v in points.ravel() * scale]
            draw.line(flat, fill=255, width=width, joint="curve")
    return np.asarray(image.reduce(scale), dtype=np.float64) / 255 * rng.uniform(0.3, 0.9)


def _symbol_ink(
    symbol: NDArray[np.float64], settings: CanvasSettings, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The symbol resized smoothly, turned a little, and cut to the box of its ink."""
    low, high = np.log(settings.min_digit_size), np.log(settings.max_digit_size)
    height = int(np.rint(np.exp(rng.uniform(low, high))))
    width = int(np.rint(height * rng.uniform(0.85, 1.15)))
    padded = np.pad(_resized(symbol, width, height), max(width, height) // 4)
    turned = Image.fromarray(padded.astype(np.float32)).rotate(
        float(rng.uniform(-12, 12)), Image.Resampling.BILINEAR
    )
    ink = np.clip(np.asarray(turned, dtype=np.float64), 0, 1)
    inside = ink > INK_THRESHOLD * ink.max()
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _free_corner(
    shape: tuple[int, ...], size: int, placed: list[PlacedSymbol], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Left and top of a place that covers no earlier digit; None where none was found."""
    height, width = shape
    for _ in range(PLACING_ATTEMPTS):
        left = int(rng.integers(0, size - width + 1))
        top = int(rng.integers(0, size - height + 1))
        box = (left, top, width, height)
        if all(covered_fraction(box, other.box) <= MAX_COVERED for other in placed):
            return left, top
    return None


def covered_fraction(first: Box, second: Box) -> float:
    """The two boxes' common area as a fraction of the smaller box's area."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    return max(width, 0) * max(height, 0) / min(first[2] * first[3], second[2] * second[3])


def _lighter_colour(region: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour lighter than the region's mean, by a different step in each channel."""
    lighter = region.mean(axis=(0, 1)) + rng.uniform(70, 150, 3)
    colour: NDArray[np.float64] = np.clip(lighter, 0, 255)
    return colour


def _blend(
    region: NDArray[np.float64], ink: NDArray[np.float64], colour: NDArray[np.float64]
) -> None:
    """Paint `colour` into `region` in place, as strongly as the ink says."""
    region += ink[..., None] * (colour - region)


def _resized(plane: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    image = Image.fromarray(plane.astype(np.float32))
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float64)
