"""A search with every kind of job: two pool phases, four trials of which one is lost, fine-tuning.

Trial 1 fails, and trial 4 takes its place.
"""

from collections.abc import Mapping
from typing import Any

from tests.cluster.searches import PHASES

FULL: Mapping[str, Any] = {"finetune": {"epochs": 1}, "teachers": {"phases": PHASES}}
LOST = frozenset({1})
LAST = 4
