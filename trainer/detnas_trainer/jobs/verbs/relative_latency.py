"""The latency that H counts: of a job's detector and of the base, in turns, once for a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import torch

from detnas.architecture import Architecture
from detnas.records import keys
from detnas.records.latency import (
    LatencyDevice,
    LatencyRecord,
    RelativeLatency,
    TimedArchitecture,
)
from detnas.records.progress import Progress
from detnas.records.results import Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.schema import Schema
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists, MissingRecord
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import build_detector
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.training import device
from detnas_trainer.latency import (
    OtherDeviceError,
    TimedDetector,
    compared_device,
    on_one_thread,
    relative_milliseconds,
    time_in_turns,
)
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.ranks.group import from_first
from detnas_trainer.roi_head import box_heads

REPEATS, WARM_UP = 30, 3
"""Runs of each detector that are timed, and those before."""

_BACKGROUND = 20.0
"""Logit, beside which the others of an untrained head vanish."""

Latencies = Mapping[Resolution, RelativeLatency]

R = TypeVar("R", bound=Schema)


def relative_latencies(
    job: Job[Any], architecture: Architecture, shape: DetectorShape, data: DetectionData
) -> Latencies:
    """The latencies of a detector at the request's resolutions; none if H counts FLOPs.

    What another job of the search has recorded is read; what none has is measured and recorded, and
    the first record counts. So equal architectures have equal latencies, whichever job asks.

    Args:
        job: whose request says what they are relative to.
        architecture: of the detector.
        shape: of its neck and heads.
        data: images that are used.

    Raises:
        OtherDeviceError: it is not known, and this is another device than the search's.
        Interrupted: the process was asked to stop.
    """
    wanted = job.request.latency
    if wanted is None or job.replays:
        return {}
    classes = len(job.request.classes)
    base = TimedArchitecture(architecture=wanted.base, detector=wanted.detector, classes=classes)
    timed = TimedArchitecture(architecture=architecture, detector=shape, classes=classes)
    with job.activity("timing"):
        return from_first(_Measurement(job, wanted.folder, timed, base, data).all)


def with_latencies(scores: tuple[Score, ...], latencies: Latencies) -> tuple[Score, ...]:
    """The scores, each with the latency at its resolution."""
    return tuple(
        score.model_copy(update={"latency": latencies.get(score.resolution)}) for score in scores
    )


@dataclass
class _Measurement:
    """Reads or measures the latencies of one architecture.

    Attributes:
        folder: key of the folder of the search's latencies.
        timed: what is measured.
        base: what it is relative to.
        data: images that are used.
    """

    job: Job[Any]
    folder: str
    timed: TimedArchitecture
    base: TimedArchitecture
    data: DetectionData

    def all(self) -> dict[Resolution, RelativeLatency]:
        return {size: self._at(size) for size in self.job.request.resolutions}

    @property
    def _store(self) -> Store:
        return self.job.folder.store

    @cached_property
    def _device(self) -> str:
        """The search's: that of the first job that measured anything."""
        here = LatencyDevice(device=compared_device())
        return _first(self._store, keys.latency_device_key(self.folder), here).device

    def _at(self, resolution: Resolution) -> RelativeLatency:
        digest = self.timed.digest(self.base, self._device)
        key = keys.latency_key(self.folder, digest, resolution)
        known = load_record(self._store, key, LatencyRecord)
        if known is not None:
            return known.latency
        here = compared_device()
        if here != self._device:
            raise OtherDeviceError(here, self._device)
        measured = LatencyRecord(
            timed=self.timed,
            base=self.base,
            resolution=resolution,
            latency=self._measured(resolution),
            measured=datetime.now(UTC),
        )
        return _first(self._store, key, measured).latency

    def _measured(self, resolution: Resolution) -> RelativeLatency:
        contestants = [TimedDetector(one, resolution) for one in self._detectors]
        with on_one_thread():
            found = time_in_turns(
                contestants, self.data, REPEATS, WARM_UP, _Reporter(self.job, resolution)
            )
        own, base = relative_milliseconds(found[0], found[-1])
        log.info("%s: %.2f ms, the base %.2f ms", resolution, own, base)
        return RelativeLatency(milliseconds=own, base_milliseconds=base, device=self._device)

    @cached_property
    def _detectors(self) -> list[TwoStageDetector]:
        """The detector and the base; one if they are the same, whose ratio is then exactly 1."""
        return [untrained_detector(one) for one in dict.fromkeys((self.timed, self.base))]


def _first(store: Store, key: str, record: R) -> R:
    """Create a record unless there is one; return what is stored."""
    try:
        create_record(store, key, record)
    except AlreadyExists:
        stored = load_record(store, key, type(record))
        if stored is None:  # it was deleted between the two
            raise MissingRecord(store.uri, key) from None
        return stored
    return record


def untrained_detector(timed: TimedArchitecture) -> TwoStageDetector:
    """A detector of this architecture whose weights depend on it alone.

    It takes everything for background: an untrained head would see an object in every proposal, and
    suppressing those takes time that a trained detector does not need.
    """
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
        torch.default_generator.manual_seed(0)
        detector = build_detector(timed.architecture, timed.detector, timed.classes)
    for head in box_heads(detector.roi_head):
        torch.nn.init.constant_(head.fc_cls.bias[-1:], _BACKGROUND)
    return detector.to(device()).requires_grad_(requires_grad=False).eval()


class _Reporter:
    """Counts the runs, and lets the job be interrupted between them."""

    def __init__(self, job: Job[Any], resolution: Resolution) -> None:
        self._job, self._resolution, self._done = job, resolution, 0

    def __call__(self) -> None:
        self._job.interruption.check()
        self._done += 1
        progress = Progress(
            activity="timing", done=self._done, total=WARM_UP + REPEATS, updated=datetime.now(UTC)
        )
        self._job.report(progress, at=self._resolution)
