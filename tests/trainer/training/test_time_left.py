"""The time left of a job, against the time that it then takes, by a clock that is only simulated.

A job is a list of steps, each with its seconds. What is said may be wrong by a factor of two at
most, except where it says what is allowed; saying nothing is never wrong, but must not last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from detnas_trainer.training.time_left import RemainingWork

TRAINING, EVALUATING = "training", "evaluating"
SIZES = (1.0, 1.8, 3.0, 4.0)


@dataclass(frozen=True)
class Step:
    """A piece of work, its pixels and its seconds."""

    activity: str
    seconds: float
    pixels: float = 1.0


@dataclass(frozen=True)
class Said:
    """What was said after a step."""

    now: float
    said: float | None
    left: float

    @property
    def right(self) -> bool:
        """Whether it was right within a factor of two, or nothing."""
        return self.said is None or self.left / 2 <= self.said <= 2 * self.left


def training(seconds: Iterable[float]) -> list[Step]:
    return [Step(TRAINING, taken) for taken in seconds]


def told(steps: Sequence[Step]) -> Iterator[Said]:
    """Do a job by a simulated clock, and yield what it says after each step but the last."""
    left = sum(step.seconds for step in steps)
    pixels = {
        activity: sum(step.pixels for step in steps if step.activity == activity)
        for activity in (TRAINING, EVALUATING)
    }
    remaining = RemainingWork(training=pixels[TRAINING], evaluating=pixels[EVALUATING])
    assert remaining.seconds_left() is None
    now = 1000.0
    for step in steps[:-1]:
        now, left = now + step.seconds, left - step.seconds
        if step.activity == TRAINING:
            remaining.training -= step.pixels
            remaining.training_pace.advanced(step.pixels, now)
        else:
            remaining.evaluating -= step.pixels
            remaining.evaluating_pace.advanced(step.pixels, now)
        yield Said(now - 1000.0, remaining.seconds_left(), left)


def spoken_from(record: Sequence[Said]) -> float:
    """The moment from which on something is always said."""
    return max((said.now for said in record if said.said is None), default=0.0)


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0, 9.0])
def test_constant_rate_is_estimated_exactly_after_eight_measurements(seconds: float) -> None:
    record = list(told(training([seconds] * 6000 if seconds < 0.1 else [seconds] * 100)))
    assert spoken_from(record) <= 8 * max(1.3, seconds) + seconds
    assert all(said.said == pytest.approx(said.left) for said in record if said.said is not None)


@pytest.mark.parametrize("slow", [1, 5, 20])
def test_slow_first_steps_do_not_count(slow: int) -> None:
    record = list(told(training([2.0] * slow + [0.1] * 1000)))
    settled = 2.0 * slow + 15
    assert all(said.right for said in record if said.now > settled)
    assert spoken_from(record) <= settled
    if slow <= 5:
        assert all(said.right for said in record)


@pytest.mark.parametrize(("before", "after"), [(0.1, 1.0), (1.0, 0.1)])
def test_after_a_tenfold_change_the_new_rate_counts_within_seconds(
    before: float, after: float
) -> None:
    steps = training([before] * round(60 / before) + [after] * round(200 / after))
    record = list(told(steps))
    assert all(said.right for said in record if said.now > 60 + 8)
    assert any(said.said is not None for said in record if 60 < said.now < 60 + 16)
    assert all(said.said is not None for said in record if said.now > 60 + 20)


@pytest.mark.parametrize("pause", [10.0, 600.0])
def test_pause_does_not_change_the_estimate(pause: float) -> None:
    seconds = [0.2] * 1000
    for step in (150, 400, 405, 700):
        seconds[step] = pause
    record = list(told(training(seconds)))
    for step, said in enumerate(record, start=1):
        working = Said(said.now, said.said, 0.2 * (len(seconds) - step))
        assert working.right, "nobody knows of pauses to come"
    assert all(said.said is not None for said in record[50:])


def test_noise_and_batches_of_several_sizes_are_evened_out() -> None:
    random = Random(0)
    for unit in (0.02, 0.5):
        seconds = [unit * random.choice(SIZES) * random.lognormvariate(0, 0.5) for _ in range(800)]
        record = list(told(training(seconds)))
        judged = [said for said in record[:-40] if said.said is not None]
        assert all(said.right for said in judged)
        assert len(judged) > len(record) / 2


def test_resumed_job_estimates_from_its_own_time_only() -> None:
    later = RemainingWork(
        training=500.0
    )  # another process: it knows nothing of the first one's pace
    assert later.seconds_left() is None
    for step in range(100):
        later.training -= 1
        later.training_pace.advanced(1, 5000 + 0.5 * step)
    assert later.seconds_left() == pytest.approx(400 * 0.5)


def test_evaluation_after_the_training_is_guessed_and_then_measured() -> None:
    sizes = [size for size in SIZES for _ in range(100)]
    evaluation = [Step(EVALUATING, 0.05 * size, size) for size in sizes]
    average = sum(SIZES) / len(SIZES)
    steps = [Step(TRAINING, 0.15 * average, average) for _ in range(300)] + evaluation
    record = list(told(steps))
    assert all(said.right for said in record)
    measured = [said for said in record[320:] if said.left < 20]
    assert all(said.said == pytest.approx(said.left) for said in measured)


def test_wrong_guess_of_the_evaluation_is_corrected_by_its_own_pace() -> None:
    steps = training([0.3] * 100) + [Step(EVALUATING, 1.0) for _ in range(100)]
    record = list(told(steps))
    assert all(said.right for said in record if said.now > 30 + 10)


def test_time_between_two_evaluations_is_not_counted() -> None:
    remaining = RemainingWork(evaluating=1000.0)
    now = 0.0
    for _ in range(20):
        now += 300.0  # the next detector is built
        remaining.evaluating_pace.interrupted()
        for _ in range(5):
            now += 0.5
            remaining.evaluating -= 1
            remaining.evaluating_pace.advanced(1, now)
    assert remaining.seconds_left() == pytest.approx(900 * 0.5)
