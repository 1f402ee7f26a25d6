"""The adaptation function f_adap between a student's RoI features and a teacher's (A.2)."""

from torch import Tensor, nn
from torch.nn import functional

ADAPTOR_PREFIX = "adaptor."
"""Prefix of the adaptor's tensors in a student's weights file."""


class Adaptor(nn.Module):
    """A 3×3 convolution from the student's neck width to the supernet's.

    A narrower teacher is compared with the first channels, and a narrower student (a subnet
    whose neck is the first channels) enters through the first inputs: the same slices that
    subnets themselves are made of, so one adaptor serves whichever teacher comes next.

    Args:
        inputs: neck channels of the student.
        outputs: neck channels of the supernet.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor, outputs: int) -> Tensor:
        """Map RoIs × C × H × W to RoIs × outputs × H × W."""
        weight = self.convolution.weight[:outputs, : features.shape[1]]
        assert self.convolution.bias is not None
        return functional.conv2d(features, weight, self.convolution.bias[:outputs], padding=1)
