"""Make a data set: symbols on cluttered canvases, in COCO format.

    python examples/digits/make_data.py DIR
    python examples/digits/make_data.py DIR --symbols glyphs

The symbols are the example's real handwritten digits, scikit-learn's 1797 scanned samples, or
glyphs: 79 printed characters in 15 typefaces of matplotlib, for which a detector needs more
capacity. Both are inside the packages: nothing is downloaded. The same settings give the same
bytes, and no sample is shown in more than one of the splits for training, validation and test.
The folder appears under its name only when it is complete; if it exists already, nothing is done.
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum, auto
from pathlib import Path
from typing import Any

import numpy as np
from canvas import CanvasSettings, PlacedSymbol, draw_canvas
from glyphs import CHARACTERS, render_glyphs
from numpy.typing import NDArray
from PIL import Image

from detnas.process_setup import guard_standard_streams

SETTINGS_FILE = "settings.json"
FORMAT = 2
"""Raised whenever the same settings give other bytes than before."""


class Symbols(StrEnum):
    """What is drawn on the canvases."""

    DIGITS = auto()
    GLYPHS = auto()


CANVASES = {
    Symbols.DIGITS: CanvasSettings(),
    # From the first level of the neck to the last.
    Symbols.GLYPHS: CanvasSettings(max_digits=6, min_digit_size=16, max_digit_size=80),
}


@dataclass(frozen=True)
class DataSettings:
    """How many canvases, from which seed, and what each looks like."""

    training_canvases: int = 240
    validation_canvases: int = 100
    test_canvases: int = 200
    seed: int = 0
    canvas: CanvasSettings = field(default_factory=CanvasSettings)
    symbols: Symbols = Symbols.DIGITS


class FolderInTheWayError(ValueError):
    """The folder holds something else than the data set asked for."""


@dataclass(frozen=True)
class Samples:
    """The symbols that may be drawn: ink from 0 to 1, (N, side, side), and class of each, (N,)."""

    inks: NDArray[np.float64]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    kind: str
    title: str


def make_data(folder: Path, settings: DataSettings) -> bool:
    """Make the data set in `folder`; False where it was already there.

    Raises FolderInTheWayError if `folder` holds anything but this data set, made with these
    settings: nothing is overwritten.
    """
    if _is_made(folder, settings):
        return False
    with _locked_partial_folder(folder) as partial:
        if _is_made(folder, settings):
            return False
        _empty(partial)
        _write_data(partial, settings)
        partial.rename(folder)
    return True


def _is_made(folder: Path, settings: DataSettings) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise FolderInTheWayError(
            f"{folder}: there is something here that this script has not made; name a new folder"
        ) from None
    if found != _recorded(settings):
        raise FolderInTheWayError(
            f"{folder}: the data set here was made with other settings ({found}); "
            "remove it or name a new folder"
        )
    return True


def _recorded(settings: DataSettings) -> dict[str, Any]:
    recorded = {"format": FORMAT, **asdict(settings)}
    if settings.symbols == Symbols.DIGITS:
        del recorded["symbols"]  # as recorded when there were digits only
    return recorded


@contextmanager
def _locked_partial_folder(folder: Path) -> Iterator[Path]:
    """The folder beside `folder` in which it is made, locked by one process.

    The lock goes with the process, so a killed run leaves a folder that the next run takes over.
    """
    partial = folder.parent / f".{folder.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield partial
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _write_data(folder: Path, settings: DataSettings) -> None:
    symbols = _load_digits() if settings.symbols == Symbols.DIGITS else _load_glyphs()
    order = np.random.default_rng(settings.seed).permutation(len(symbols.classes))
    learnt, decides = len(order) * 2 // 3, len(order) * 5 // 6
    parts = {"train": order[:learnt], "val": order[learnt:decides], "test": order[decides:]}
    for split, samples in parts.items():
        _write_split(folder, split, symbols, samples, settings)
    text = json.dumps(_recorded(settings), indent=2) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def _load_digits() -> Samples:
    # Imported late: it takes a second, which a run with nothing to do should not cost.
    from sklearn.datasets import load_digits

    loaded = load_digits()
    names = tuple(str(digit) for digit in range(10))
    classes = loaded.target.astype(np.int64)
    title = "Handwritten digits of scikit-learn"
    return Samples(loaded.images / 16.0, classes, names, "digit", title)


def _load_glyphs() -> Samples:
    return Samples(*render_glyphs(), tuple(CHARACTERS), "glyph", "Printed characters")


def _write_split(
    folder: Path,
    split: str,
    symbols: Samples,
    samples: NDArray[np.int64],
    settings: DataSettings,
) -> None:
    """Write one split's images and its annotation file."""
    number, count = {
        "train": (1, settings.training_canvases),
        "val": (2, settings.validation_canvases),
        "test": (3, settings.test_canvases),
    }[split]
    size = settings.canvas.size
    (folder / "images" / split).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        # Each canvas has a generator of its own: more canvases change none of the others.
        rng = np.random.default_rng([settings.seed, number, index])
        pixels, placed = draw_canvas(symbols.inks, samples, settings.canvas, rng)
        name = f"{split}/{index:05d}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": index + 1, "file_name": name, "width": size, "height": size})
        for symbol in placed:
            number_so_far = len(annotations)
            annotations.append(_annotation(number_so_far + 1, index + 1, symbol, symbols))
    _write_annotations(folder / f"{split}.json", images, annotations, symbols)


def _annotation(
    identifier: int, image: int, symbol: PlacedSymbol, symbols: Samples
) -> dict[str, Any]:
    _, _, width, height = symbol.box
    return {
        "id": identifier,
        "image_id": image,
        "category_id": int(symbols.classes[symbol.sample]) + 1,
        "bbox": list(symbol.box),
        "area": width * height,
        "iscrowd": 0,
        "digit_sample": symbol.sample,
    }


def _write_annotations(
    path: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    symbols: Samples,
) -> None:
    document = {
        "info": {"description": f"{symbols.title} on canvases", "version": "1"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": symbols.kind}
            for number, name in enumerate(symbols.names, start=1)
        ],
    }
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the data set is there, 2 when something is in its way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    defaults = DataSettings()
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--train", type=int, default=defaults.training_canvases, metavar="N")
    parser.add_argument("--val", type=int, default=defaults.validation_canvases, metavar="N")
    parser.add_argument("--test", type=int, default=defaults.test_canvases, metavar="N")
    parser.add_argument("--seed", type=int, default=defaults.seed, metavar="N")
    parser.add_argument("--symbols", type=Symbols, choices=list(Symbols), default=defaults.symbols)
    options = parser.parse_args(arguments)
    for name in ("train", "val", "test"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: at least 1 canvas is needed")
    if options.seed < 0:
        parser.error(f"--seed {options.seed}: must not be negative")
    try:
        counts = (options.train, options.val, options.test)
        canvas = CANVASES[options.symbols]
        settings = DataSettings(*counts, options.seed, canvas, options.symbols)
        made = make_data(options.folder, settings)
    except FolderInTheWayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.folder}: {'made' if made else 'already there'}")
    return 0


if __name__ == "__main__":
    guard_standard_streams()
    raise SystemExit(main())
