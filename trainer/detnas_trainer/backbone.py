"""A residual backbone built from its encoding: every block may have any width.

This file is self-contained (torch, mmengine and mmdet only), because an exported detector carries
it along. Names and layout are those of mmdet's ResNet, so a stock ResNet checkpoint loads.
"""

from collections.abc import Callable, Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

_STAGES = 4


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class _ResidualBlock(nn.Module):
    """Convolution, batch norm and ReLU in turn, plus the shortcut; the last ReLU follows the sum.

    The shortcut is projected exactly where the width changes or the stride is 2.

    Args:
        inputs: channels of the incoming stream.
        widths: output channels of each convolution.
        kernels: kernel side of each convolution, in pixels.
        strided: index of the convolution that carries the stride.
        stride: 1 or 2, in pixels.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        kernels: Sequence[int],
        strided: int,
        stride: int,
    ) -> None:
        super().__init__()
        if len(widths) != len(kernels):
            raise ValueError(f"a block of {len(widths)} widths; this family has {len(kernels)}")
        self.layers = len(widths)
        before = inputs
        for index, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
            own_stride = stride if index == strided else 1
            self.add_module(f"conv{index + 1}", _convolution(before, width, kernel, own_stride))
            self.add_module(f"bn{index + 1}", nn.BatchNorm2d(width))
            before = width
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != before:
            self.downsample = nn.Sequential(
                _convolution(inputs, before, 1, stride), nn.BatchNorm2d(before)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map N × inputs × H × W to N × widths[-1] × H/stride × W/stride."""
        identity = x if self.downsample is None else self.downsample(x)
        out = x
        for index in range(1, self.layers + 1):
            out = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(out))
            if index < self.layers:
                out = self.relu(out)
        return self.relu(out + identity)


class BasicBlock(_ResidualBlock):
    """Two 3×3 convolutions; widths are (conv1 out, block out), the stride is in conv1."""

    def __init__(self, inputs: int, widths: Sequence[int], stride: int) -> None:
        super().__init__(inputs, widths, (3, 3), 0, stride)


class Bottleneck(_ResidualBlock):
    """1×1, 3×3, 1×1; widths are (conv1 out, conv2 out, block out), the stride is in conv2."""

    def __init__(self, inputs: int, widths: Sequence[int], stride: int) -> None:
        super().__init__(inputs, widths, (1, 3, 1), 1, stride)


_BLOCKS: dict[str, Callable[[int, Sequence[int], int], _ResidualBlock]] = {
    "Basic": BasicBlock,
    "Bottleneck": Bottleneck,
}


@MODELS.register_module(force=True)  # an exported copy may be loaded beside this file
class EvolvableBackbone(BaseModule):
    """ResNet whose every convolution has the width its encoding gives.

    Args:
        family: kind of block, ``Basic`` or ``Bottleneck``.
        stem: output channels of the 7×7 stem.
        stages: per stage, per block: output channels of each convolution. The first block of
            the stages after the first has stride 2.
        frozen_stages: stem and this many stages are not trained; -1 trains everything.
        norm_eval: batch norms keep their statistics in training.
        init_cfg: mmengine's initialisation; none initialises as mmdet's ResNet does.

    Raises:
        ValueError: an unknown family, a wrong number of stages, an empty stage, or a block with
            a number of widths that its family does not have.
    """

    def __init__(
        self,
        family: str,
        stem: int,
        stages: Sequence[Sequence[Sequence[int]]],
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if family not in _BLOCKS:
            raise ValueError(f"family: {family!r}; it may be {' or '.join(_BLOCKS)}")
        if len(stages) != _STAGES or not all(stages):
            raise ValueError(
                f"stages: {[len(stage) for stage in stages]} blocks; "
                f"{_STAGES} stages of at least one block each"
            )
        if not -1 <= frozen_stages <= _STAGES:
            raise ValueError(f"frozen_stages: {frozen_stages}; -1 (none) to {_STAGES}")
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.conv1 = _convolution(3, stem, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inputs = stem
        for number, stage in enumerate(stages, 1):
            blocks: list[nn.Module] = []
            for position, widths in enumerate(stage):
                stride = 2 if number > 1 and position == 0 else 1
                blocks.append(_BLOCKS[family](inputs, widths, stride))
                inputs = widths[-1]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self._freeze()

    @property
    def layers(self) -> tuple[nn.Sequential, ...]:
        """The four stages, in order."""
        return tuple(getattr(self, f"layer{number}") for number in range(1, _STAGES + 1))

    def init_weights(self) -> None:
        """Kaiming normal for convolutions, 1 and 0 for batch norms (the last of a block at 0)."""
        if self.init_cfg:
            super().init_weights()
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, _ResidualBlock):
                nn.init.zeros_(getattr(module, f"bn{module.layers}").weight)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the four stages, at strides 4, 8, 16 and 32.

        Args:
            x: N × 3 × H × W, normalised.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)

    def train(self, mode: bool = True) -> "EvolvableBackbone":
        """Set the mode; frozen stages stay in evaluation mode, with `norm_eval` all norms."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in (self.conv1, self.bn1, *self.layers[: self.frozen_stages]):
            module.eval()
            module.requires_grad_(requires_grad=False)
