"""f_evolve: actions carried out on an architecture and its weights together (paper, 3.1.2)."""

from detnas_trainer.evolve.channel_pruning import narrow_channels
from detnas_trainer.evolve.evolution import Evolved, InvalidActionError, evolve
from detnas_trainer.evolve.upgrade import (
    upgraded_architecture,
    upgraded_shape,
    upgraded_state,
)

__all__ = [
    "Evolved",
    "InvalidActionError",
    "evolve",
    "narrow_channels",
    "upgraded_architecture",
    "upgraded_shape",
    "upgraded_state",
]
