"""All that this package uses of mmcv, mmdet and mmengine; no other file imports them.

The files of backbone and anchors are the exceptions: exported detectors contain them. `mmcv_ext` is
installed before the imports, since those of mmdet import mmcv's operators.
"""

import contextlib
import io
import warnings
from pathlib import Path

from detnas_trainer import mmcv_ext
from detnas_trainer.deferred_imports import deferred_imports

mmcv_ext.install()

# They print a message and a warning for every optional package that is missing.
with (
    contextlib.redirect_stdout(io.StringIO()),
    warnings.catch_warnings(),
    deferred_imports("imgaug", "matplotlib", "pandas", "scipy", "sklearn"),
):
    warnings.simplefilter("ignore")
    from mmcv import rescale_size
    from mmcv.cnn import fuse_conv_bn
    from mmcv.ops import RoIAlign
    from mmcv.transforms import Compose
    from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, RandomFlip, Resize
    from mmdet.models.detectors import TwoStageDetector
    from mmdet.models.roi_heads import BaseRoIHead, CascadeRoIHead
    from mmdet.registry import MODELS, TASK_UTILS
    from mmdet.structures import DetDataSample
    from mmdet.utils import register_all_modules
    from mmengine.config import Config, ConfigDict
    from mmengine.logging import MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.structures import InstanceData

__all__ = [
    "MODELS",
    "TASK_UTILS",
    "BaseRoIHead",
    "CascadeRoIHead",
    "Compose",
    "Config",
    "ConfigDict",
    "DefaultScope",
    "DetDataSample",
    "InstanceData",
    "LoadAnnotations",
    "MMLogger",
    "PackDetInputs",
    "RandomFlip",
    "Resize",
    "RoIAlign",
    "TwoStageDetector",
    "fuse_conv_bn",
    "load_exported",
    "register_all_modules",
    "rescale_size",
]


def load_exported(config: Path, checkpoint: Path, device: str) -> TwoStageDetector:
    """A detector from its mmdet configuration and checkpoint, as mmdet's users load it."""
    from mmdet.apis import init_detector  # takes a second, and one job in a search needs it

    return init_detector(str(config), str(checkpoint), palette="none", device=device)
