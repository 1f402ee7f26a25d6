"""f_evolve: actions carried out on an architecture and its weights together (paper, 3.1.2)."""

from detnas_trainer.evolve.evolution import Evolved, InvalidActionError, evolve

__all__ = ["Evolved", "InvalidActionError", "evolve"]
