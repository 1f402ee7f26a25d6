"""Distillation of a two-stage detector from a teacher (paper, 3.2)."""

from detnas_trainer.distillation.adaptor import Adaptor
from detnas_trainer.distillation.distiller import Distiller
from detnas_trainer.distillation.teaching import IncompatibleTeacher, frozen_teacher

__all__ = ["Adaptor", "Distiller", "IncompatibleTeacher", "frozen_teacher"]
