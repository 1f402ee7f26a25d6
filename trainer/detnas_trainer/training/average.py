"""The exponential moving average of a training's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """The average of a module's parameters and batch norm statistics over its steps.

    Attributes:
        tensors: the average, by state-dict name.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._trained = module.state_dict()
        self.tensors = {name: tensor.clone() for name, tensor in self._trained.items()}
        self._averaged = [n for n, t in self._trained.items() if t.is_floating_point()]
        self._update = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """Count the weights after a step."""
        averages = [self.tensors[name] for name in self._averaged]
        self._update(averages, [self._trained[name] for name in self._averaged], 0)
        for name in self._trained.keys() - self._averaged:
            self.tensors[name].copy_(self._trained[name])

    def resume(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue with the average that a checkpoint holds."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)

    def apply(self) -> None:
        """Give the module the average as its weights."""
        with torch.no_grad():
            for name, tensor in self._trained.items():
                tensor.copy_(self.tensors[name])
