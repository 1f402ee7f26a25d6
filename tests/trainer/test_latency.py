from typing import Any

import pytest

from detnas.records.settings import DataLocation, Resolution
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.latency import TimedDetector, measure_latency, relative_milliseconds
from tests.trainer.conftest import CLASSES


class _Fake:
    """Takes a known time for each image, in order."""

    def __init__(self, name: str, times: list[float], world: "_World") -> None:
        self.name, self.times, self.world = name, iter(times), world

    def eval(self) -> None: ...

    def test_step(self, batch: dict[str, Any]) -> None:
        self.world.seconds += next(self.times)
        self.world.turns.append((self.name, *batch["inputs"][0].shape[1:]))


class _World:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.turns: list[tuple[Any, ...]] = []


def test_relative_milliseconds_are_those_of_the_turns_whatever_slows_them() -> None:
    slowed = (1, 1, 3, 3, 3, 1, 7)
    base = [0.010 * by for by in slowed]
    student = [0.008 * by for by in (1, 1, 3, 3, 1, 1, 7)]  # a turn that was disturbed between
    assert relative_milliseconds(student, base) == pytest.approx((24.0, 30.0))


def test_measure_latency_takes_turns_and_gives_medians_after_warm_up(
    tiny_data: DataLocation,
) -> None:
    world = _World()
    base = _Fake("base", [9.0, 0.004, 0.008, 0.030], world)
    student = _Fake("student", [9.0, 0.002, 0.001, 0.003], world)
    small, large = Resolution(width=32, height=32), Resolution(width=64, height=64)
    found = measure_latency(
        [TimedDetector(base, large), TimedDetector(student, small)],
        DetectionData(tiny_data, "val", CLASSES),
        repeats=3,
        warmup=1,
        clock=lambda: world.seconds,
    )
    assert [latency.milliseconds for latency in found] == pytest.approx([8.0, 2.0])
    assert [latency.resolution for latency in found] == [large, small]
    assert world.turns == [("base", 64, 64), ("student", 32, 32)] * 4
    assert all(latency.device for latency in found)
