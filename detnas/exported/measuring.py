"""`python -m detnas.exported.measuring FILE…`: what files find in all images, and their latency.

It runs in a process of its own, which imports the runtime of its files and no other: what it
measures is what they do wherever they are copied to. Images are decoded once for all of them.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from detnas.errors import UserError
from detnas.exported.benchmark import time_in_turns
from detnas.exported.description import load_description
from detnas.exported.detector import Detections, ExportedDetector
from detnas.exported.preparing import Image, read_image
from detnas.exported.scoring import CocoImages, coco_results, read_coco
from detnas.processors import processor_name
from detnas.records.exports import FileLatency
from detnas.schema import Schema

SCORED = "scored"
"""What the process prints once all images are done."""

_RUNS, _WARM_UP = 30, 3
_TIMED_IMAGES = 10

_PIXELS_AT_ONCE, _MOST_AT_ONCE = 250_000, 16
"""Small images are scored several at once: most of a run's time does not depend on their number."""


class MeasuredFile(Schema):
    """What was measured on one file.

    Attributes:
        detections: in the form of COCO's results.
        latency: at batch 1; None of a file that failed.
        failure: why it cannot be loaded or run; empty if it can.
    """

    detections: tuple[dict[str, object], ...] = ()
    latency: FileLatency | None = None
    failure: str = ""


class Measured(Schema):
    """What the process writes.

    Attributes:
        files: by their names.
    """

    files: dict[str, MeasuredFile]


def detect_all(detector: ExportedDetector, coco: CocoImages) -> Iterator[tuple[int, Detections]]:
    """What is found in each image, by its id, one image at a time."""
    for number, path in coco.images.items():
        (found,) = detector.detect([read_image(path)])
        yield number, found


class Measuring:
    """Several files, of which one that fails stops none of the others.

    Args:
        paths: of the files.
        threads: that one run may use.
    """

    def __init__(self, paths: Sequence[Path], threads: int) -> None:
        self._threads = threads
        self._found: dict[str, dict[int, Detections]] = {path.name: {} for path in paths}
        self._latency: dict[str, FileLatency] = {}
        self._failures: dict[str, str] = {}
        self._running: dict[str, ExportedDetector] = {}
        for path in paths:
            try:
                self._running[path.name] = ExportedDetector.load(path, threads)
            except Exception as error:  # noqa: BLE001 - a runtime raises anything
                self._fail(path.name, error)

    def detect(self, coco: CocoImages) -> Iterator[int]:
        """Run all files over all images; yield the number of images done.

        Images of one size are run several at once, where they are small and a file takes several.
        """
        form = next((one.description.input for one in self._running.values()), None)
        limit = 1 if form is None else _PIXELS_AT_ONCE // (form.long_side * form.short_side)
        done = 0
        for group in _alike(coco, max(1, min(limit, _MOST_AT_ONCE))):
            images = [*group.values()]
            for name, detector in [*self._running.items()]:
                step = detector.file.batch or len(images)
                starts = range(0, len(images), step)
                try:
                    parts = [detector.detect(images[start : start + step]) for start in starts]
                    self._found[name] |= zip(group, chain.from_iterable(parts), strict=True)
                except Exception as error:  # noqa: BLE001 - a runtime raises anything
                    self._fail(name, error)
            done += len(group)
            yield done

    def time(self, images: Sequence[Image]) -> None:
        """Time one file after the other."""
        for name, detector in self._running.items():
            (runs,) = time_in_turns([detector], images, _RUNS, _WARM_UP)
            self._latency[name] = runs.latency(self._threads, processor_name())

    def measured(self, coco: CocoImages) -> Measured:
        """What was measured on all of them."""
        return Measured(
            files={
                name: MeasuredFile(
                    detections=tuple(coco_results(found, coco)),
                    latency=self._latency.get(name),
                    failure=self._failures.get(name, ""),
                )
                for name, found in self._found.items()
            }
        )

    def _fail(self, name: str, error: Exception) -> None:
        self._failures[name] = str(error) or type(error).__name__
        self._found[name] = {}
        self._running.pop(name, None)


def _alike(coco: CocoImages, limit: int) -> Iterator[dict[int, Image]]:
    """The images by id, in their order: those of one shape that follow each other together."""
    group: dict[int, Image] = {}
    for number, path in coco.images.items():
        image = read_image(path)
        if group and (len(group) == limit or image.shape != next(iter(group.values())).shape):
            yield group
            group = {}
        group[number] = image
    if group:
        yield group


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure files of one folder; print how many images are done, a line each."""
    parser = argparse.ArgumentParser(prog="python -m detnas.exported.measuring")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--annotations", type=Path, required=True, help="in COCO's form")
    parser.add_argument("--images", type=Path, required=True, help="their folder")
    parser.add_argument("--to", type=Path, required=True, help="JSON to write")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--wait",
        action="store_true",
        help="once all images are scored, wait for a line of input before timing",
    )
    options = parser.parse_args(arguments)
    try:
        measured = _measure(options)
    except UserError as error:
        sys.exit(f"error: {error}")
    options.to.write_text(json.dumps(measured.model_dump(mode="json", by_alias=True)))


def _measure(options: argparse.Namespace) -> Measured:
    classes = load_description(options.files[0].parent).classes
    coco = read_coco(options.annotations, options.images, classes)
    measuring = Measuring(options.files, options.threads)
    for done in measuring.detect(coco):
        print(done, flush=True)
    print(SCORED, flush=True)
    if options.wait and not sys.stdin.readline():
        sys.exit("error: whoever started this process has ended")
    measuring.time([read_image(path) for path in islice(coco.images.values(), _TIMED_IMAGES)])
    return measuring.measured(coco)


if __name__ == "__main__":
    main()
