"""Whether every annotated image is there and whole."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from PIL import Image

from detnas.processors import processors

_AT_ONCE = 64


def broken_images(
    folder: Path,
    files: dict[str, tuple[int, int]],
    workers: int | None = None,
    checked: Callable[[int], None] = lambda images: None,
) -> Iterator[str]:
    """Yield, in the files' order, a line for each image that can not be used, and why.

    Every image is decoded once: a file cut short looks sound until its last row is asked for.

    Args:
        folder: what the names are relative to.
        files: name and annotated (width, height) in pixels.
        workers: threads; by default one for each processor that this process may use.
        checked: is told, time and again, how many more images were looked at.
    """
    remaining = iter(files.items())
    with ThreadPoolExecutor(workers or processors()) as threads:
        # Some at a time, so that whoever is told can stop it without waiting for the rest.
        while some := list(islice(remaining, _AT_ONCE)):
            found = threads.map(lambda item: _problem(folder, *item), some)
            yield from (problem for problem in found if problem)
            checked(len(some))


def _problem(folder: Path, name: str, size: tuple[int, int]) -> str | None:
    path = folder / name
    try:
        with Image.open(path) as image:
            image.load()
            found = image.size
    except FileNotFoundError:
        return f"{path}: missing"
    except (OSError, SyntaxError, ValueError) as error:  # Pillow says broken in all three
        return f"{path}: can not be read ({error})"
    # Readers turn an image as its camera noted, so both orders are right.
    if found not in (size, size[::-1]):
        return f"{path}: is {found[0]}x{found[1]}, annotated as {size[0]}x{size[1]}"
    return None
