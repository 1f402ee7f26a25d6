"""Detectors that were trained elsewhere: read safely, named as mmdet names them, made to fit."""

from detnas_trainer.foreign.adapting import Adapted, OtherClassesError, adapt
from detnas_trainer.foreign.backbone import read_backbone
from detnas_trainer.foreign.checkpoint import Checkpoint, read_checkpoint

__all__ = [
    "Adapted",
    "Checkpoint",
    "OtherClassesError",
    "adapt",
    "read_backbone",
    "read_checkpoint",
]
