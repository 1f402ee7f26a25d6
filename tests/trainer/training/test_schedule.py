from decimal import Decimal

import pytest

from detnas.records.settings import Schedule, Training
from detnas_trainer.training.schedule import learning_rate


def _training(schedule: Schedule, warmup: int = 0) -> Training:
    return Training(
        epochs=12,
        learning_rate=Decimal("0.2"),
        batch_size=2,
        schedule=schedule,
        warmup_iterations=warmup,
    )


@pytest.mark.parametrize(
    ("iteration", "rate"), [(0, 0.2), (30, 0.1707107), (60, 0.1), (90, 0.0292893), (120, 0.0)]
)
def test_cosine_falls_to_zero(iteration: int, rate: float) -> None:
    assert learning_rate(_training(Schedule.COSINE), iteration, 120) == pytest.approx(
        rate, abs=1e-7
    )


@pytest.mark.parametrize(
    ("iteration", "rate"), [(0, 0.2), (79, 0.2), (80, 0.02), (109, 0.02), (110, 0.002)]
)
def test_step_falls_after_epochs_8_and_11_of_12(iteration: int, rate: float) -> None:
    assert learning_rate(_training(Schedule.STEP), iteration, 120) == pytest.approx(rate)


@pytest.mark.parametrize(("iteration", "rate"), [(0, 0.0002), (5, 0.1001), (10, 0.2), (11, 0.2)])
def test_warm_up_rises_linearly_from_a_thousandth(iteration: int, rate: float) -> None:
    assert learning_rate(_training(Schedule.STEP, 10), iteration, 120) == pytest.approx(rate)
