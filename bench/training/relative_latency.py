"""How repeatable a latency is, and the ratio to the base's that H counts, on a busy machine.

    python -m bench.training.relative_latency [--repeats 10] [--side 128]

A base and a student that has two thirds of its channels are timed in turns, as a trial times them:
first alone, then beside a process that computes half of the time, in bursts. Each repetition is one
measurement of a search. The spread is the standard deviation over the repetitions, relative to
their mean. It takes a few minutes on two cores.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import fmean, median, pstdev
from typing import cast

from bench.training.noise import NoiseImages
from detnas.architecture import parse
from detnas.processors import processor_name, processors
from detnas.records.latency import TimedArchitecture
from detnas.records.settings import DetectorShape, Resolution
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.jobs.verbs import relative_latency
from detnas_trainer.latency import (
    TimedDetector,
    on_one_thread,
    relative_milliseconds,
    time_in_turns,
)

SHAPE = DetectorShape(neck=32, fc=128, proposals=100)
BASE = "[(24, 24)-(24, 24)], [(48, 48)-(48, 48)], [(96, 96)-(96, 96)], [(192, 192)-(192, 192)]"
STUDENT = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(128, 128)-(128, 128)]"
CLASSES, IMAGES = 10, 8
BURSTS = (
    "import time\nwhile True:\n e = time.time() + 1\n while time.time() < e: pass\n time.sleep(1)"
)


@contextmanager
def bursts(count: int) -> Iterator[None]:
    """So many processes that compute every other second."""
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", BURSTS])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


@dataclass(frozen=True)
class Repetition:
    """One measurement: medians in milliseconds, and the ratio that H counts."""

    student: float
    base: float
    ratio: float


def measured(repeats: int, side: int) -> list[Repetition]:
    """One measurement after the other."""
    data = cast("DetectionData", NoiseImages(IMAGES, (side, side), CLASSES))
    size = Resolution(width=side, height=side)
    forms = [
        TimedArchitecture(architecture=parse(one), detector=SHAPE, classes=CLASSES)
        for one in (STUDENT, BASE)
    ]
    contestants = [TimedDetector(relative_latency.untrained_detector(one), size) for one in forms]
    found = []
    for _ in range(repeats):
        with on_one_thread():
            runs = time_in_turns(
                contestants, data, relative_latency.REPEATS, relative_latency.WARM_UP
            )
        student, base = (1000 * median(seconds) for seconds in runs)
        found.append(Repetition(student, base, relative_milliseconds(*runs)[0] / base))
    return found


def line(name: str, values: list[float], unit: str = "") -> str:
    return f"  {name}: mean {fmean(values):.3f}{unit}, spread {pstdev(values) / fmean(values):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--side", type=int, default=128)
    asked = parser.parse_args()
    print(
        f"{processor_name()}, one thread; {asked.repeats} repetitions at {asked.side}x{asked.side}"
    )
    for count in (0, processors()):
        with bursts(count):
            found = measured(asked.repeats, asked.side)
        print(f"beside {count} processes that compute every other second:")
        print(line("student", [one.student for one in found], " ms"))
        print(line("base", [one.base for one in found], " ms"))
        print(line("ratio of both", [one.student / one.base for one in found]))
        print(line("ratio of the turns", [one.ratio for one in found]))


if __name__ == "__main__":
    main()
