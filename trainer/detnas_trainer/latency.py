"""Time that a detector takes for one image: the paper's FPS column, and C of the score H."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch

from detnas.errors import UserError
from detnas.processors import processor_name
from detnas.records.exports import on_threads
from detnas.records.results import Latency
from detnas.records.settings import Resolution
from detnas_trainer.data.detection_data import Batch, DetectionData, collate
from detnas_trainer.data.draws import Sample
from detnas_trainer.openmmlab import TwoStageDetector


@dataclass(frozen=True)
class TimedDetector:
    """A detector and the size it is timed at."""

    detector: TwoStageDetector
    resolution: Resolution


def measure_latency(
    contestants: Sequence[TimedDetector],
    data: DetectionData,
    repeats: int = 30,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Latency]:
    """Time detectors side by side, as `time_in_turns`; the median of each one's runs is reported.

    The arguments are those of `time_in_turns`.
    """
    seconds = time_in_turns(contestants, data, repeats, warmup, clock=clock)
    return [
        Latency(
            resolution=contestant.resolution,
            milliseconds=1000 * median(times),
            device=device_name(),
        )
        for contestant, times in zip(contestants, seconds, strict=True)
    ]


def relative_milliseconds(detector: Sequence[float], base: Sequence[float]) -> tuple[float, float]:
    """Return the milliseconds of a detector and of the base that it took turns with.

    The base's are its median. The detector's are these times the median of the ratios of the turns:
    what else slows the machine for a while slows both runs of a turn, and leaves their ratio.

    Args:
        detector: seconds of its runs.
        base: seconds of the base's runs in the same turns.
    """
    ratio = median(one / other for one, other in zip(detector, base, strict=True))
    milliseconds = 1000 * median(base)
    return ratio * milliseconds, milliseconds


def time_in_turns(
    contestants: Sequence[TimedDetector],
    data: DetectionData,
    repeats: int,
    warmup: int,
    progressed: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Time detectors side by side at batch 1: preprocessing, network and non-maximum suppression.

    They take turns, image by image, so that other load on the machine affects all alike.

    Args:
        contestants: detectors, on one device.
        data: images are taken from here, in turn; reading and resizing them is not timed.
        repeats: timed runs of each.
        warmup: runs before, untimed.
        progressed: called after each run of all of them.
        clock: seconds.

    Returns:
        Seconds of the timed runs of each, in order.
    """
    seconds: list[list[float]] = [[] for _ in contestants]
    for run in range(warmup + repeats):
        for contestant, times in zip(contestants, seconds, strict=True):
            sample = Sample(run % len(data), contestant.resolution)
            taken = _time_one(contestant.detector, collate([data[sample]]), clock)
            if run >= warmup:
                times.append(taken)
        progressed()
    return seconds


def device_name() -> str:
    """The GPU's name, or ``CPU`` with the number of threads in use."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return on_threads("CPU", torch.get_num_threads())


class OtherDeviceError(UserError):
    """This process has another device than the one on which the search measures latencies.

    Args:
        here: name of this one.
        wanted: name of the search's.
    """

    def __init__(self, here: str, wanted: str) -> None:
        super().__init__(
            f"this search measures latencies on {wanted}, and this job runs on {here}",
            "select nodes that have the former (spec.jobs.nodeSelector or affinity), or begin a "
            "new search",
        )


def compared_device() -> str:
    """Name of this device; latencies compare only between devices of the same name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()


@contextmanager
def on_one_thread() -> Iterator[None]:
    """On a CPU, compute with one thread within the block: how many a job has depends on others."""
    threads = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _time_one(detector: TwoStageDetector, batch: Batch, clock: Callable[[], float]) -> float:
    detector.eval()
    with torch.inference_mode():
        _wait_for_device()
        start = clock()
        detector.test_step(batch)
        _wait_for_device()
        return clock() - start


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
