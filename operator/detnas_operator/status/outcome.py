"""The front and the recommended detectors as the status lists them."""

from detnas.lifecycle.status import SearchStatus
from detnas.plan.recommendation import Recommendation
from detnas.resource.status import FrontDetector, RecommendedDetector


def front(search: SearchStatus) -> list[FrontDetector]:
    """Return the points of the front."""
    return [
        FrontDetector(
            detector=one.name,
            trial=one.trial,
            map=one.map,
            map_error=one.map_error,
            flops=one.flops,
            resolution=str(one.resolution),
        )
        for one in search.front
    ]


def recommended(search: SearchStatus) -> list[RecommendedDetector]:
    """Return the detector for each objective, or why there is none."""
    return [_recommended(one) for one in search.recommended]


def _recommended(one: Recommendation) -> RecommendedDetector:
    detector, latency = one.detector, one.latency
    if detector is None:
        return RecommendedDetector(objective=one.objective, reason=one.reason)
    return RecommendedDetector(
        objective=one.objective,
        detector=detector.name,
        trial=detector.trial,
        resolution=str(detector.resolution),
        map=one.map,
        flops=detector.flops,
        latency_ms=latency.milliseconds if latency else None,
        reason=one.reason,
    )
