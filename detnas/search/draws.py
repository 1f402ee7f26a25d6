"""Randomness of the search: every draw follows from its seed and the trial's number."""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

T = TypeVar("T")


def trial_random(seed: int, index: int) -> Random:
    """The source of every draw that decides a trial; the same on every machine."""
    return Random(_digest(f"propose/{seed}/{index}"))


def job_seed(seed: int, index: int) -> int:
    """Seed of a trial's job, of 31 bits."""
    return _digest(f"job/{seed}/{index}") >> 33


def rank_choice(random: Random, ranked: Sequence[T]) -> T:
    """Draw from a list that is best first: of n, the weights are n, n−1, … 1."""
    return random.choices(ranked, weights=range(len(ranked), 0, -1))[0]


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
