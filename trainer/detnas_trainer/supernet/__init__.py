"""The elastic teacher pool: one set of weights, any teacher a slice of it."""

from detnas_trainer.supernet.elastic import ElasticDetector
from detnas_trainer.supernet.importance import sort_channels
from detnas_trainer.supernet.phases import ShrinkingPhase, build_phase
from detnas_trainer.supernet.sampling import subnet_at, teachers_to_draw
from detnas_trainer.supernet.slicing import extract
from detnas_trainer.supernet.teacher import extract_teacher, reset_statistics

__all__ = [
    "ElasticDetector",
    "ShrinkingPhase",
    "build_phase",
    "extract",
    "extract_teacher",
    "reset_statistics",
    "sort_channels",
    "subnet_at",
    "teachers_to_draw",
]
