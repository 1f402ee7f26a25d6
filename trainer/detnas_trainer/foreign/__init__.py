"""Detectors that were trained elsewhere: read safely, named as mmdet names them, made to fit."""

from detnas_trainer.foreign.adapting import Adapted, OtherClassesError, adapt
from detnas_trainer.foreign.backbone import read_backbone
from detnas_trainer.foreign.checkpoint import Checkpoint, read_checkpoint
from detnas_trainer.foreign.external_teacher import (
    ExternalTeacher,
    TeacherFile,
    load_teacher_file,
    read_teacher,
)
from detnas_trainer.foreign.pixels import Pixels

__all__ = [
    "Adapted",
    "Checkpoint",
    "ExternalTeacher",
    "OtherClassesError",
    "Pixels",
    "TeacherFile",
    "adapt",
    "load_teacher_file",
    "read_backbone",
    "read_checkpoint",
    "read_teacher",
]
