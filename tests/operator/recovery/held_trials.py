"""A search that stays at its two trials until a test lets them end."""

from collections.abc import Mapping
from typing import Any

from tests.operator.harness.behaviours import Gate, InTurn
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.search import Search

TRIALS = ("-t0000", "-t0001")


def create_held(
    harness: ProxiedHarness, spec: Mapping[str, Any] | None = None, last: int = 1, **search: Any
) -> tuple[Search, Gate]:
    """Create a search named ``one``; its trials end once the gate is opened."""
    gate = Gate()
    harness.play(InTurn(harness.trainer, last, may_end=gate))
    return harness.begin("one", spec, **search), gate


def run_to_trials(
    harness: ProxiedHarness, spec: Mapping[str, Any] | None = None, **search: Any
) -> tuple[Search, Gate]:
    """The same; start the operator and wait until both trials are training."""
    created, gate = create_held(harness, spec, **search)
    harness.operator.start()
    created.until_training(*TRIALS)
    return created, gate
