"""Distillation of a two-stage detector from a teacher (paper, 3.2)."""

from detnas_trainer.distillation.adaptor import Adaptor
from detnas_trainer.distillation.distiller import Distiller, IncompatibleTeacher
from detnas_trainer.distillation.losses import (
    bn_sparsity_loss,
    class_aware_localization_loss,
    classification_loss,
    feature_loss,
    map_loss,
    plain_localization_loss,
)

__all__ = [
    "Adaptor",
    "Distiller",
    "IncompatibleTeacher",
    "bn_sparsity_loss",
    "class_aware_localization_loss",
    "classification_loss",
    "feature_loss",
    "map_loss",
    "plain_localization_loss",
]
