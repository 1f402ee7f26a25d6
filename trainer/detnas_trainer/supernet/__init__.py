"""The elastic teacher pool: one set of weights, any teacher a slice of it."""

from detnas_trainer.supernet.phases import build_phase
from detnas_trainer.supernet.sampling import teachers_to_draw
from detnas_trainer.supernet.teacher import extract_teacher

__all__ = ["build_phase", "extract_teacher", "teachers_to_draw"]
