"""`python -m detnas.exported.measuring FILE`: what a file finds in all images, and its latency.

It runs in a process of its own, which imports the file's runtime and no other: what it measures is
what the file does wherever it is copied to.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

from detnas.errors import UserError
from detnas.exported.detector import Detections, ExportedDetector
from detnas.exported.preparing import PreparedImage, read_image
from detnas.exported.scoring import CocoImages, coco_results, read_coco
from detnas.processors import processor_name
from detnas.records.exports import FileLatency
from detnas.schema import Schema

_RUNS, _WARMUP = 30, 3
_TIMED_IMAGES = 10


class Measured(Schema):
    """What the process writes.

    Attributes:
        detections: in the form of COCO's results.
        latency: at batch 1.
    """

    detections: tuple[dict[str, object], ...]
    latency: FileLatency


def time_file(
    detector: ExportedDetector,
    images: Sequence[PreparedImage],
    threads: int,
    runs: int = _RUNS,
    clock: Callable[[], float] = time.perf_counter,
) -> FileLatency:
    """Time a file at batch 1, after a few runs that are not counted.

    Args:
        detector: the file.
        images: taken in turn.
        threads: that it was loaded with.
        runs: timed.
        clock: seconds.
    """
    seconds = []
    for run in range(_WARMUP + runs):
        batch = [images[run % len(images)]]
        start = clock()
        detector.detect_prepared(batch)
        taken = clock() - start
        if run >= _WARMUP:
            seconds.append(taken)
    seconds.sort()
    return FileLatency(
        median=1000 * median(seconds),
        p90=1000 * seconds[min(runs - 1, int(0.9 * runs))],
        runs=runs,
        threads=threads,
        device=processor_name(),
    )


def detect_all(detector: ExportedDetector, coco: CocoImages) -> Iterator[tuple[int, Detections]]:
    """What is found in each image, by its id, one image at a time."""
    for number, path in coco.images.items():
        (found,) = detector.detect([read_image(path)])
        yield number, found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one file; print how many images are done, a line each."""
    parser = argparse.ArgumentParser(prog="python -m detnas.exported.measuring")
    parser.add_argument("file", type=Path)
    parser.add_argument("--annotations", type=Path, required=True, help="in COCO's form")
    parser.add_argument("--images", type=Path, required=True, help="their folder")
    parser.add_argument("--to", type=Path, required=True, help="JSON to write")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    try:
        measured = _measure(options)
    except UserError as error:
        sys.exit(f"error: {error}")
    options.to.write_text(json.dumps(measured.model_dump(mode="json", by_alias=True)))


def _measure(options: argparse.Namespace) -> Measured:
    detector = ExportedDetector.load(options.file, options.threads)
    coco = read_coco(options.annotations, options.images, detector.description.classes)
    timed = [
        detector.prepare(read_image(path)) for path in islice(coco.images.values(), _TIMED_IMAGES)
    ]
    latency = time_file(detector, timed, options.threads)
    found = {}
    for number, detections in detect_all(detector, coco):
        found[number] = detections
        print(len(found), flush=True)
    return Measured(detections=tuple(coco_results(found, coco)), latency=latency)


if __name__ == "__main__":
    main()
