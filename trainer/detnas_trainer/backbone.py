"""A backbone built from its encoding: every block may have any width.

This file is self-contained (torch, torchvision, mmengine and mmdet only), because an exported
detector carries it along. Names and layout of ResNet and ResNeXt are those of mmdet, so a stock
checkpoint loads.

A MobileNetV2 has names like a ResNet's: ``conv1`` and ``bn1`` are the first 3×3, ``stem_block`` is
the block of expansion 1 (``conv1`` depthwise, ``conv2`` 1×1), ``layerS.B`` a block of stage S
(``conv1`` expands, ``conv2`` is depthwise, ``conv3`` projects), and ``conv2`` and ``bn2`` of the
backbone itself are the last 1×1. Stages 1 to 4 are mmdet's layers 2, 3, 4 with 5, and 6 with 7.
"""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

_STAGES = 4
_HEAD = 1280
"""Channels of MobileNetV2's last convolution."""


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )


class DeformableConvolution(nn.Conv2d):
    """A 3×3 convolution whose taps are moved by learned offsets (Dai et al. 2017, version 1).

    Names are those of mmcv's ``DeformConv2dPack``. Offsets of zero, with which it begins, make it
    a plain convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, groups=groups, bias=False)
        self.conv_offset = nn.Conv2d(inputs, 18, 3, stride, padding=1)
        self.reset_offsets()

    def reset_offsets(self) -> None:
        """Let every tap be where a plain convolution has it."""
        nn.init.zeros_(self.conv_offset.weight)
        assert self.conv_offset.bias is not None
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map N × inputs × H × W to N × outputs × H/stride × W/stride."""
        offsets = self.conv_offset(x)  # a bias comes with batch normalisation that is folded in
        return deform_conv2d(x, offsets, self.weight, self.bias, self.stride, self.padding)


class _ResidualBlock(nn.Module):
    """Convolution, batch norm and ReLU in turn, plus the shortcut; the last ReLU follows the sum.

    The shortcut is projected exactly where the width changes or the stride is 2.

    Args:
        inputs: channels of the incoming stream.
        widths: output channels of each convolution.
        kernels: kernel side of each convolution, in pixels.
        strided: index of the convolution that carries the stride, and the groups.
        stride: 1 or 2, in pixels.
        groups: groups of that convolution.
        deformable: that convolution, a 3×3, is deformable.

    Attributes:
        projects: a shortcut that cannot be the identity is projected; else there is none.
    """

    projects = True

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        kernels: Sequence[int],
        *,
        strided: int,
        stride: int,
        groups: int = 1,
        deformable: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != len(kernels):
            raise ValueError(f"a block of {len(widths)} widths; this family has {len(kernels)}")
        self.layers = len(widths)
        before = inputs
        for index, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
            own = (stride, groups) if index == strided else (1, 1)
            made = (
                DeformableConvolution(before, width, *own)
                if deformable and index == strided
                else _convolution(before, width, kernel, *own)
            )
            self.add_module(f"conv{index + 1}", made)
            self.add_module(f"bn{index + 1}", nn.BatchNorm2d(width))
            before = width
        self.relu: nn.Module = nn.ReLU(inplace=True)
        self.keeps_shape = stride == 1 and inputs == before
        self.downsample: nn.Sequential | None = None
        if self.projects and not self.keeps_shape:
            self.downsample = nn.Sequential(
                _convolution(inputs, before, 1, stride), nn.BatchNorm2d(before)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map N × inputs × H × W to N × widths[-1] × H/stride × W/stride."""
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self._branch(x) + identity)

    def _branch(self, x: Tensor) -> Tensor:
        for index in range(1, self.layers + 1):
            x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x))
            if index < self.layers:
                x = self.relu(x)
        return x


class BasicBlock(_ResidualBlock):
    """Two 3×3 convolutions; widths are (conv1 out, block out), the stride is in conv1."""

    def __init__(self, inputs: int, widths: Sequence[int], stride: int) -> None:
        super().__init__(inputs, widths, (3, 3), strided=0, stride=stride)


class Bottleneck(_ResidualBlock):
    """1×1, 3×3, 1×1; widths are (conv1 out, conv2 out, block out), the stride is in conv2."""

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        stride: int,
        groups: int = 1,
        deformable: bool = False,
    ) -> None:
        super().__init__(
            inputs,
            widths,
            (1, 3, 1),
            strided=1,
            stride=stride,
            groups=groups,
            deformable=deformable,
        )


class InvertedResidual(_ResidualBlock):
    """1×1, depthwise 3×3, 1×1; widths are (expanded, block out), the stride is in conv2.

    There is a shortcut exactly where the width stays and the stride is 1, and no ReLU after it.
    """

    projects = False

    def __init__(self, inputs: int, widths: Sequence[int], stride: int) -> None:
        if len(widths) != 2:
            raise ValueError(f"a block of {len(widths)} widths; this family has 2")
        wide, out = widths
        super().__init__(
            inputs, (wide, wide, out), (1, 3, 1), strided=1, stride=stride, groups=wide
        )
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map N × inputs × H × W to N × widths[-1] × H/stride × W/stride."""
        return x + self._branch(x) if self.keeps_shape else self._branch(x)


class _StemBlock(nn.Module):
    """MobileNetV2's block of expansion 1: depthwise 3×3, 1×1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, inputs, 3, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = _convolution(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map N × inputs × H × W to N × outputs × H × W."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))


def _block(
    family: str,
    inputs: int,
    widths: Sequence[int],
    stride: int,
    group_width: int | None,
    deformable: bool,
) -> _ResidualBlock:
    if family == "Basic":
        return BasicBlock(inputs, widths, stride)
    if family == "MobileNetV2":
        return InvertedResidual(inputs, widths, stride)
    groups = widths[0] // group_width if group_width else 1
    return Bottleneck(inputs, widths, stride, groups, deformable)


_FAMILIES = ("Basic", "Bottleneck", "ResNeXt", "MobileNetV2")


@MODELS.register_module(force=True)  # an exported copy may be loaded beside this file
class EvolvableBackbone(BaseModule):
    """ResNet, ResNeXt or MobileNetV2 whose every block has the widths its encoding gives.

    Args:
        family: kind of block: ``Basic``, ``Bottleneck``, ``ResNeXt`` or ``MobileNetV2``.
        stem: output channels of the stem.
        stages: per stage, per block: its widths. The first block of the stages after the first has
            stride 2; a MobileNetV2's first stage too, for it has no max-pool.
        group_widths: of a ResNeXt, per stage, per block: channels of each group.
        deformable: stages, from 1, whose 3×3 convolutions are deformable; Bottleneck and ResNeXt.
        frozen_stages: stem and this many stages are not trained; -1 trains everything.
        norm_eval: batch norms keep their statistics in training.
        zero_init_residual: the last batch norm of a block is initialised at 0, so that the block
            begins as its shortcut; not in MobileNetV2, where no shortcut carries the stream.
        init_cfg: mmengine's initialisation; none initialises as mmdet's ResNet does.

    Raises:
        ValueError: an unknown family, a wrong number of stages, an empty stage, a block with a
            number of widths that its family does not have, or a ResNeXt without group widths.
    """

    def __init__(
        self,
        family: str,
        stem: int,
        stages: Sequence[Sequence[Sequence[int]]],
        *,
        group_widths: Sequence[Sequence[int]] | None = None,
        deformable: Sequence[int] = (),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        zero_init_residual: bool = True,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if family not in _FAMILIES:
            raise ValueError(f"family: {family!r}; it may be {' or '.join(_FAMILIES)}")
        if len(stages) != _STAGES or not all(stages):
            raise ValueError(
                f"stages: {[len(stage) for stage in stages]} blocks; "
                f"{_STAGES} stages of at least one block each"
            )
        if (group_widths is None) == (family == "ResNeXt"):
            raise ValueError("group_widths: a ResNeXt has them, and no other family")
        if deformable and family not in ("Bottleneck", "ResNeXt"):
            raise ValueError(f"deformable: {list(deformable)}; {family} blocks cannot be")
        if not -1 <= frozen_stages <= _STAGES:
            raise ValueError(f"frozen_stages: {frozen_stages}; -1 (none) to {_STAGES}")
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.zero_init_residual = zero_init_residual
        self.stem_block: _StemBlock | None = None
        self.conv2: nn.Conv2d | None = None
        self.relu: nn.Module = nn.ReLU(inplace=True)
        strides = [1, 2, 2, 2]
        if family == "MobileNetV2":
            strides[0] = 2
            self.conv1 = _convolution(3, 2 * stem, 3, stride=2)
            self.bn1 = nn.BatchNorm2d(2 * stem)
            self.relu = nn.ReLU6(inplace=True)
            self.stem_block = _StemBlock(2 * stem, stem)
            self.conv2 = _convolution(stages[-1][-1][-1], _HEAD, 1)
            self.bn2 = nn.BatchNorm2d(_HEAD)
        else:
            self.conv1 = _convolution(3, stem, 7, stride=2)
            self.bn1 = nn.BatchNorm2d(stem)
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self._add_stages(family, stem, stages, strides, group_widths, deformable)
        self._freeze()

    def _add_stages(
        self,
        family: str,
        inputs: int,
        stages: Sequence[Sequence[Sequence[int]]],
        strides: Sequence[int],
        group_widths: Sequence[Sequence[int]] | None,
        deformable: Sequence[int],
    ) -> None:
        for index, stage in enumerate(stages):
            blocks: list[nn.Module] = []
            for position, widths in enumerate(stage):
                stride = strides[index] if position == 0 else 1
                group_width = group_widths[index][position] if group_widths else None
                deforms = index + 1 in deformable
                blocks.append(_block(family, inputs, widths, stride, group_width, deforms))
                inputs = widths[-1]
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))

    @property
    def layers(self) -> tuple[nn.Sequential, ...]:
        """The four stages, in order."""
        return tuple(getattr(self, f"layer{number}") for number in range(1, _STAGES + 1))

    def init_weights(self) -> None:
        """Kaiming normal for convolutions, 1 and 0 for batch norms.

        With `zero_init_residual` the last of a block is at 0.
        """
        if self.init_cfg:
            super().init_weights()
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, DeformableConvolution):
                module.reset_offsets()
            if self.zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                nn.init.zeros_(getattr(module, f"bn{module.layers}").weight)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the four stages, at strides 4, 8, 16 and 32.

        Args:
            x: N × 3 × H × W, normalised.
        """
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x) if self.stem_block is None else self.stem_block(x)
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        if self.conv2 is not None:
            outputs[-1] = self.relu(self.bn2(self.conv2(x)))
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
        stem = filter(None, (self.conv1, self.bn1, self.stem_block))
        for module in (*stem, *self.layers[: self.frozen_stages]):
            module.eval()
            module.requires_grad_(requires_grad=False)
