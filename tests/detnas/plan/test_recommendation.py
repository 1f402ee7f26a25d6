"""Which detector is recommended for a device or a budget."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.plan.front import MeasuredDetector
from detnas.plan.recommendation import MeasuredLatency, Recommendation, recommend
from detnas.spec.objectives import DetectorLimits
from tests.detnas.trials import LARGE, SMALL

GIGA = 10**9


def detector(trial: int | None, mean_ap: float, giga: float, **more: Any) -> MeasuredDetector:
    fields = {"resolution": LARGE, "h": mean_ap, "flops": int(giga * GIGA), **more}
    return MeasuredDetector(trial=trial, map=mean_ap, **fields)


def latency(trial: int | None, ms: float, device: str = "CPU", **more: Any) -> MeasuredLatency:
    fields = {"resolution": LARGE, "device": device, **more}
    return MeasuredLatency(trial=trial, milliseconds=ms, **fields)


DETECTORS = (
    detector(None, 0.38, 20),
    detector(3, 0.35, 5),
    detector(31, 0.412, 12, map_error=0.004),
    detector(40, 0.43, 18),
)
LATENCIES = (latency(None, 17), latency(3, 6), latency(31, 9.8), latency(40, 14))


def found(
    limits: dict[str, Any], latencies: tuple[MeasuredLatency, ...] = LATENCIES
) -> Recommendation:
    return recommend(DETECTORS, latencies, DetectorLimits.model_validate(limits))


CASES: dict[str, tuple[dict[str, Any], int, str]] = {
    "a latency": (
        {"maxLatencyMs": "12"},
        31,
        (
            "highest mAP within 12 ms: trial 31 at 128x96, 9.8 ms, mAP 41.2 ± 0.4 %; "
            "for comparison, the base at 128x96, 17 ms, mAP 38.0 %"
        ),
    ),
    "FLOPs": (
        {"maxFlops": 6 * GIGA},
        3,
        (
            "highest mAP within 6 GFLOPs: trial 3 at 128x96, 5 GFLOPs, mAP 35.0 %; "
            "for comparison, the base at 128x96, 20 GFLOPs, mAP 38.0 %"
        ),
    ),
    "an mAP": (
        {"minMap": "0.4"},
        31,
        "fewest FLOPs with mAP of at least 40 %: trial 31 at 128x96, 12 GFLOPs, mAP 41.2 ± 0.4 %",
    ),
    "an mAP on a device": (
        {"minMap": "0.3", "device": "cpu"},
        3,
        "fastest with mAP of at least 30 % on cpu: trial 3 at 128x96, 6 ms, mAP 35.0 %",
    ),
    "all of them": (
        {"maxLatencyMs": "16", "maxFlops": 17 * GIGA, "minMap": "0.4"},
        31,
        "highest mAP within 16 ms, 17 GFLOPs, mAP of at least 40 %: trial 31",
    ),
    "only the base fits": (
        {"maxFlops": 30 * GIGA, "minMap": "0.38", "name": "server"},
        40,
        "highest mAP within 30 GFLOPs, mAP of at least 38 %: trial 40",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_recommended_detector_keeps_the_limits_and_says_why(case: str) -> None:
    limits, trial, reason = CASES[case]
    one = found(limits)
    assert one.detector is not None
    assert (one.detector.trial, one.map) == (trial, one.detector.map)
    assert one.reason.startswith(reason)


NONE_FITS: dict[str, tuple[dict[str, Any], str]] = {
    "too fast": (
        {"maxLatencyMs": "5"},
        "no detector takes at most 5 ms; the fastest is trial 3 at 128x96, 6 ms, mAP 35.0 %",
    ),
    "too accurate": (
        {"minMap": "0.5"},
        "no detector reaches an mAP of 50 %; the most accurate is trial 40 at 128x96, 18 GFLOPs",
    ),
    "too few FLOPs": (
        {"maxFlops": GIGA},
        "no detector has at most 1 GFLOPs; that with the fewest FLOPs is trial 3",
    ),
    "too fast and accurate": (
        {"maxLatencyMs": "10", "minMap": "0.42"},
        (
            "no detector takes at most 10 ms and reaches an mAP of 42 %; within the other limits "
            "the most accurate is trial 31 at 128x96, 9.8 ms"
        ),
    ),
    "another device": (
        {"maxLatencyMs": "10", "device": "H200"},
        "no latency on H200 is known; there are latencies on 'CPU'",
    ),
}


@pytest.mark.parametrize("case", NONE_FITS)
def test_reason_names_the_limit_that_none_keeps_and_the_nearest(case: str) -> None:
    limits, reason = NONE_FITS[case]
    one = found(limits)
    assert one.detector is None
    assert one.reason.startswith(reason)


def test_device_has_to_be_named_if_several_have_latencies() -> None:
    more = (*LATENCIES, latency(3, 1, "H200"))
    one = found({"maxLatencyMs": "10"}, more)
    assert one.detector is None
    assert "'CPU', 'H200'" in one.reason
    named = found({"maxLatencyMs": "10", "device": "H200"}, more)
    assert named.latency == more[-1]


def test_device_may_be_named_without_its_threads_unless_that_leaves_a_choice() -> None:
    one, four = (latency(3, ms, f"Xeon, {threads}", file="a.onnx") for ms, threads in THREADS)
    limits = {"maxLatencyMs": "10", "device": "xeon"}
    assert found(limits, (*LATENCIES, four)).latency == four
    several = found(limits, (*LATENCIES, one, four))
    assert several.detector is None
    assert "'xeon' may be each of them: 'Xeon, 1 thread', 'Xeon, 4 threads'" in several.reason
    named = found({**limits, "device": "Xeon, 1 thread"}, (*LATENCIES, one, four))
    assert named.latency == one
    assert found({**limits, "device": "Xe"}, (one,)).detector is None


THREADS = ((9.0, "1 thread"), (4.0, "4 threads"))


def test_device_of_the_exported_files_is_meant_if_none_is_named() -> None:
    """PyTorch and onnxruntime name the same processor differently."""
    one = found({"maxLatencyMs": "10"}, (*LATENCIES, latency(3, 4, "Xeon", file="a.onnx")))
    assert one.latency is not None
    assert one.latency.device == "Xeon"


def test_file_counts_with_its_own_accuracy() -> None:
    """An int8 file may be fast enough, and not accurate enough."""
    more = (latency(40, 8, file="int8.onnx", map=0.40, map_error=0.01), latency(31, 9.8))
    one = found({"maxLatencyMs": "10"}, more)
    assert one.detector is not None
    assert (one.detector.trial, one.map) == (31, 0.412)
    less = found({"maxLatencyMs": "9"}, more)
    assert (less.detector and less.detector.trial, less.map) == (40, 0.4)
    assert "8 ms (int8.onnx), mAP 40.0 ± 1.0 %" in less.reason


def test_latency_of_another_resolution_or_student_says_nothing() -> None:
    others = (latency(3, 1, resolution=SMALL), latency(3, 1, finetuned=True), latency(99, 1))
    assert found({"maxLatencyMs": "10"}, others).detector is None


def test_search_without_measurements_recommends_nothing() -> None:
    one = recommend((), (), DetectorLimits(max_flops=1))
    assert (one.detector, one.reason) == (None, "nothing is measured yet")


numbers = st.integers(1, 20)
detectors = st.lists(
    st.builds(detector, st.integers(0, 9), numbers.map(lambda n: n / 20), numbers), max_size=8
)


@given(detectors, st.none() | numbers, st.none() | numbers)
def test_nothing_better_fits(
    detectors: list[MeasuredDetector], giga: int | None, twentieths: int | None
) -> None:
    if giga is None and twentieths is None:
        return
    least = 0 if twentieths is None else twentieths / 20
    limits = DetectorLimits.model_validate(
        {
            "maxFlops": None if giga is None else giga * GIGA,
            "minMap": None if twentieths is None else str(least),
        }
    )
    one = recommend(detectors, (), limits)
    fitting = [d for d in detectors if d.map >= least and d.flops <= (giga or 20) * GIGA]
    assert (one.detector is None) == (not fitting)
    if one.detector is None:
        return
    assert one.detector in fitting
    if giga is None:
        assert one.detector.flops == min(d.flops for d in fitting)
    else:
        assert one.detector.map == max(d.map for d in fitting)


def test_objective_is_named_by_its_name_or_its_limits() -> None:
    assert found({"maxFlops": GIGA, "name": "edge"}).objective == "edge"
    limits = {"maxLatencyMs": "12.50", "minMap": "0.4", "device": "CPU"}
    assert found(limits).objective == "12.5 ms, mAP of at least 40 % on CPU"
    assert not re.search(r"\.$", found(limits).reason)
