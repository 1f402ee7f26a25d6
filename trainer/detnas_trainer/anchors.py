"""Anchors of whole pixels, as torchvision's detectors have them.

This file is self-contained (torch and mmdet only), because an exported detector carries it along if
its anchors are such.
"""

from typing import Any

from mmdet.models.task_modules import AnchorGenerator
from mmdet.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module(force=True)  # an exported copy may be loaded beside this file
class WholePixelAnchorGenerator(AnchorGenerator):
    """mmdet's anchors, their corners rounded to whole pixels before they are moved over the image.

    That is torchvision's convention (``torchvision.models.detection.anchor_utils``); where a side
    is a root of two, such as 45.25, the anchors of both libraries differ by up to half a pixel.
    """

    def gen_single_level_base_anchors(self, *args: Any, **kwargs: Any) -> Tensor:
        """Anchors of one level around the origin: A × 4, in pixels."""
        return super().gen_single_level_base_anchors(*args, **kwargs).round()
