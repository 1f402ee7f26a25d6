"""All that this package uses of mmcv, mmdet and mmengine; no other file imports them.

The backbone's file is the one exception: an exported detector carries it along. `mmcv_ext` comes
before the imports, since mmdet's own ask for mmcv's operators.
"""

# ruff: noqa: E402  (the operators come first)

from detnas_trainer import mmcv_ext

mmcv_ext.install()

from mmcv import rescale_size
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer, init_detector
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, RandomFlip, Resize
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

__all__ = [
    "MODELS",
    "BaseModule",
    "Compose",
    "ConfigDict",
    "DefaultScope",
    "DetDataSample",
    "DetInferencer",
    "InstanceData",
    "LoadAnnotations",
    "MMLogger",
    "PackDetInputs",
    "RandomFlip",
    "Resize",
    "StandardRoIHead",
    "TwoStageDetector",
    "init_detector",
    "register_all_modules",
    "rescale_size",
]
