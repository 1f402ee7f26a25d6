"""Models with random weights and statistics, to compare before and after import."""

from typing import Any

import torch
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d


def randomised(model: Any, least_variance: float = 0.5) -> Any:
    """The model with random weights and statistics; its scores and boxes are well spread."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            deviation = (1.5 / module.weight[0].numel()) ** 0.5
            module.weight.data.normal_(0, deviation, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.2, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            module.weight.data.uniform_(0.3, 0.7, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(least_variance, 2, generator=generator)
    model.eval()  # mmdet's backbones do not return themselves
    return model
