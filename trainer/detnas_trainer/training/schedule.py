"""Learning rate as a pure function of the iteration (paper, A.1.3 and A.1.4)."""

from math import cos, pi

from detnas.records.settings import Schedule, Training

_WARMUP_START = 0.001
_DECAY = 0.1
_STEPS = (2 / 3, 11 / 12)
"""Shares of the run after which the rate falls: epochs 8 and 11 of mmdet's 12."""


def learning_rate(training: Training, iteration: int, iterations: int) -> float:
    """The rate of one step."""
    peak = float(training.learning_rate)
    return (
        peak
        * _warmup(training.warmup_iterations, iteration)
        * _fall(training.schedule, iteration / iterations)
    )


def _warmup(steps: int, iteration: int) -> float:
    if iteration >= steps:
        return 1.0
    return _WARMUP_START + (1 - _WARMUP_START) * iteration / steps


def _fall(schedule: Schedule, share: float) -> float:
    if schedule is Schedule.COSINE:
        return (1 + cos(pi * share)) / 2
    return _DECAY ** sum(share >= step for step in _STEPS)
