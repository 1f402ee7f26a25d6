"""Which detector of a search to take for a device or a budget, and why."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from detnas.plan.front import MeasuredDetector
from detnas.records.settings import Resolution
from detnas.schema import Count, Flag, Schema
from detnas.spec.objectives import DetectorLimits


class MeasuredLatency(Schema):
    """Time of one image that a detector, or a file of it, takes on a device.

    Attributes:
        trial: that trained the detector; None for the base.
        finetuned: it is the trial's student after the fine-tuning.
        resolution: of the image.
        device: as the measurement names it.
        milliseconds: at batch 1, the median.
        file: that was measured; empty for the detector in the training process.
        map: mAP of that file, a fraction; None if only the detector's is known.
        map_error: its standard error.
    """

    trial: Count | None = None
    finetuned: Flag = False
    resolution: Resolution
    device: str
    milliseconds: float
    file: str = ""
    map: float | None = None
    map_error: float | None = None

    @property
    def identity(self) -> tuple[int | None, bool, str]:
        """Of the detector, as `MeasuredDetector.identity`."""
        return self.trial, self.finetuned, str(self.resolution)


class Recommendation(Schema):
    """The detector for an objective.

    Attributes:
        objective: its name, or its limits.
        detector: the detector; None if none fits.
        latency: its latency on the device, if that matters.
        map: mAP, of the file whose latency it is if that is known.
        reason: why this one, or why none, without a full stop.
    """

    objective: str
    detector: MeasuredDetector | None = None
    latency: MeasuredLatency | None = None
    map: float | None = None
    reason: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A detector, or a file of it, with what decides."""

    detector: MeasuredDetector
    latency: MeasuredLatency | None = None

    @property
    def map(self) -> float:
        known = self.latency.map if self.latency else None
        return self.detector.map if known is None else known

    @property
    def milliseconds(self) -> float:
        return self.latency.milliseconds if self.latency else 0.0

    @property
    def text(self) -> str:
        """Name, cost and accuracy, such as ``trial 31 at 800x600, 9.8 ms, mAP 41.2 ± 0.4 %``."""
        one, latency = self.detector, self.latency
        cost = f"{one.flops / 1e9:.4g} GFLOPs"
        if latency is not None:
            cost = f"{_ms(latency.milliseconds)}{f' ({latency.file})' if latency.file else ''}"
        of_file = latency is not None and latency.map is not None
        error = latency.map_error if of_file and latency else one.map_error
        shown = f"{100 * self.map:.1f}" + ("" if error is None else f" ± {100 * error:.1f}")
        return f"{one.name} at {one.resolution}, {cost}, mAP {shown} %"


def recommend(
    detectors: Sequence[MeasuredDetector],
    latencies: Iterable[MeasuredLatency],
    limits: DetectorLimits,
) -> Recommendation:
    """Return the most accurate detector within the limits; with only an mAP to reach the cheapest.

    The cheapest is the fastest if a device is named, else that with the fewest FLOPs. Where latency
    matters, only detectors fit whose latency on the device was measured.

    Args:
        detectors: of the search, at every resolution, as `measured_detectors` returns them.
        latencies: measured of them; a detector may have several, of its files.
        limits: what it is needed for.
    """
    name = limits.name or limits.limits
    if not detectors:
        return Recommendation(objective=name, reason="nothing is measured yet")
    if not limits.needs_latency:
        return _chosen(name, [_Candidate(one) for one in detectors], limits)
    measured = list(latencies)
    # Files are what is taken away; one machine may have two names, one of them for the training.
    files = [one for one in measured if one.file] if limits.device is None else []
    devices = sorted({one.device for one in files or measured})
    meant = [one for one in devices if _is_meant(one, limits.device)]
    timed = {one.identity: one for one in detectors}
    candidates = [
        _Candidate(timed[one.identity], one)
        for one in measured
        if [one.device] == meant and one.identity in timed
    ]
    if candidates:
        return _chosen(name, candidates, limits)
    return Recommendation(objective=name, reason=_untimed(limits.device, devices, meant))


def _is_meant(device: str, named: str | None) -> bool:
    """Whether a device is the one that is named, which may leave out the number of threads."""
    return named is None or f"{device}, ".casefold().startswith(f"{named}, ".casefold())


def _untimed(device: str | None, devices: Sequence[str], meant: Sequence[str]) -> str:
    if len(meant) > 1:
        which = "none is named" if device is None else f"'{device}' may be each of them"
        return f"latencies of several devices are known, and {which}: {_listed(meant)}"
    known = f"; there are latencies on {_listed(devices)}" if devices else ""
    where = f" on {device}" if device else ""
    return (
        f"no latency{where} is known{known}; measure exported files there with 'detnas bench', and "
        "give its result to 'detnas recommend --bench'"
    )


def _chosen(name: str, candidates: Sequence[_Candidate], limits: DetectorLimits) -> Recommendation:
    checks = _checks(limits)
    fitting = [one for one in candidates if all(check.fits(one) for check in checks)]
    if not fitting:
        return Recommendation(objective=name, reason=_why_none(candidates, checks))
    bounded = limits.max_latency_ms is not None or limits.max_flops is not None
    goal = "highest mAP" if bounded else "fastest" if limits.needs_latency else "fewest FLOPs"
    found = min(fitting, key=_accuracy_first if bounded else _cost_first)
    reason = f"{goal} within {limits.limits}" if bounded else f"{goal} with {limits.limits}"
    return Recommendation(
        objective=name,
        detector=found.detector,
        latency=found.latency,
        map=found.map,
        reason=f"{reason}: {found.text}{_base_text(candidates, found)}",
    )


def _accuracy_first(one: _Candidate) -> tuple[float, ...]:
    return -one.map, one.milliseconds, one.detector.flops


def _cost_first(one: _Candidate) -> tuple[float, ...]:
    return one.milliseconds, one.detector.flops, -one.map


def _base_text(candidates: Sequence[_Candidate], found: _Candidate) -> str:
    """What the base needs, at the resolution where it is best."""
    if found.detector.trial is None:
        return ""
    base = [one for one in candidates if one.detector.trial is None]
    if not base:
        return ""
    best = min(base, key=lambda one: (-one.detector.h, one.milliseconds))
    return f"; for comparison, {best.text}"


@dataclass(frozen=True, slots=True)
class _Check:
    """One limit.

    Attributes:
        fits: whether a candidate keeps it.
        value: the smaller, the closer to it.
        limit: in words, after "no detector".
        nearest: in words, before the nearest one.
    """

    fits: Callable[[_Candidate], bool]
    value: Callable[[_Candidate], float]
    limit: str
    nearest: str


def _checks(limits: DetectorLimits) -> list[_Check]:
    checks = []
    if (most := limits.max_latency_ms) is not None:
        longest = float(most)
        checks.append(
            _Check(
                lambda one: one.milliseconds <= longest,
                lambda one: one.milliseconds,
                f"takes at most {_ms(longest)}",
                "the fastest is",
            )
        )
    if (flops := limits.max_flops) is not None:
        checks.append(
            _Check(
                lambda one: one.detector.flops <= flops,
                lambda one: one.detector.flops,
                f"has at most {flops / 1e9:.4g} GFLOPs",
                "that with the fewest FLOPs is",
            )
        )
    if (least := limits.min_map) is not None:
        lowest = float(least)
        checks.append(
            _Check(
                lambda one: one.map >= lowest,
                lambda one: -one.map,
                f"reaches an mAP of {100 * lowest:.4g} %",
                "the most accurate is",
            )
        )
    return checks


def _why_none(candidates: Sequence[_Candidate], checks: Sequence[_Check]) -> str:
    for number, check in enumerate(checks):
        kept = [one for one in candidates if all(other.fits(one) for other in checks[:number])]
        if any(check.fits(one) for one in kept):
            continue
        limits = " and ".join(one.limit for one in checks[: number + 1])
        nearest = min(kept, key=lambda one: (check.value(one), _accuracy_first(one)))
        among = "within the other limits " if number else ""
        return f"no detector {limits}; {among}{check.nearest} {nearest.text}"
    raise AssertionError("a detector keeps every limit")


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
