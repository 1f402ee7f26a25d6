"""The adaptation function f_adap between a student's RoI features and a teacher's (A.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from detnas_trainer.detector import ADAPTOR_PREFIX


class Adaptor(nn.Module):
    """A 3×3 convolution from the student's neck width to the supernet's.

    A narrower teacher is compared with the first channels, and a narrower student (a subnet
    whose neck is the first channels) enters through the first inputs: the same slices that
    subnets themselves are made of, so one adaptor serves whichever teacher comes next.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)

    @classmethod
    def inherited(cls, state: Mapping[str, Tensor]) -> "Adaptor | None":
        """The adaptor whose tensors a weights file holds; None if it holds none."""
        own = {
            name.removeprefix(ADAPTOR_PREFIX): tensor
            for name, tensor in state.items()
            if name.startswith(ADAPTOR_PREFIX)
        }
        if not own:
            return None
        outputs, inputs = own["convolution.weight"].shape[:2]
        adaptor = cls(inputs, outputs)
        adaptor.load_state_dict(own)
        return adaptor

    @property
    def outputs(self) -> int:
        """Channels of the widest teacher."""
        return self.convolution.out_channels

    def forward(self, features: Tensor, outputs: int) -> Tensor:
        """Map RoIs, or images of a level, N × C × H × W to N × outputs × H × W."""
        weight = self.convolution.weight[:outputs, : features.shape[1]]
        assert self.convolution.bias is not None
        # On the many small maps of RoIs a third faster than the other layout.
        features = features.contiguous(memory_format=torch.channels_last)
        return functional.conv2d(features, weight, self.convolution.bias[:outputs], padding=1)
