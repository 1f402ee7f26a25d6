"""Annotated images as mmdet's detectors take them, without a data set."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

_TWO_OBJECTS = ((4.0, 4.0, 30.0, 34.0), (30.0, 20.0, 60.0, 60.0))


def sample(
    side: int = 64,
    boxes: Sequence[tuple[float, ...]] = ((8.0, 8.0, 40.0, 40.0),),
    labels: Sequence[int] = (1,),
) -> DetDataSample:
    """Annotations of a square image."""
    sizes = ("img_shape", "ori_shape", "pad_shape", "batch_input_shape")
    found = DetDataSample(
        metainfo={**dict.fromkeys(sizes, (side, side)), "scale_factor": (1.0, 1.0)}
    )
    found.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.tensor(labels))
    found.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
    )
    return found


def make_batch(seed: int, side: int = 64) -> tuple[Tensor, list[DetDataSample]]:
    """Two normalised images (2 × 3 × side × side) of noise, with two objects each."""
    generator = torch.Generator().manual_seed(seed)
    samples = [sample(side, _TWO_OBJECTS, (0, 2)) for _ in range(2)]
    return torch.randn(2, 3, side, side, generator=generator), samples
