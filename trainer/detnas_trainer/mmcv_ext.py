"""torchvision's operators in place of mmcv's compiled ones, where mmcv was built without them.

`install` puts a module in the place of ``mmcv._ext``. It must run before anything imports
``mmcv.ops``, as mmdet does. This file is self-contained (torch and torchvision only), because an
exported detector carries it along; importing it as ``detnas_mmcv_ext`` installs it.

The operators keep the names, the order of parameters and the in-place outputs of mmcv's own
extension, which ``mmcv/ops/*.py`` calls: tensors by position, all else by name.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import torch
import torchvision
from torch import Tensor

_AVERAGE = 1  # mmcv's pool_mode; 0 is max


def install() -> None:
    """Make ``import mmcv._ext`` succeed; mmcv's own compiled operators are used where they exist.

    Raises:
        ImportError: mmcv's compiled operators are there, but do not load.
    """
    try:
        importlib.import_module("mmcv._ext")
    except ModuleNotFoundError as error:
        if error.name != "mmcv._ext":
            raise
        sys.modules["mmcv._ext"] = _StandIn()
    except ImportError as error:
        raise ImportError(
            f"mmcv's compiled operators do not load: {error}. They were probably compiled for "
            "another version of torch; mmcv without them works, too: pip install "
            "--force-reinstall --no-deps --no-binary onedl-mmcv onedl-mmcv"
        ) from error


class _StandIn(ModuleType):
    """``mmcv._ext`` with torchvision's operators; any other operator fails when it is called."""

    def __init__(self) -> None:
        super().__init__("mmcv._ext", __doc__)
        self.__spec__ = ModuleSpec("mmcv._ext", loader=None, origin=__file__)
        self.__dict__.update((operator.__name__, operator) for operator in _OPERATORS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        # mmcv asks for every operator's name when it is imported, so only the call may fail.
        def missing(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(
                f"the operator {name!r} needs mmcv's compiled operators, and this mmcv has none. "
                "Compile them: pip install setuptools wheel ninja psutil, then MMCV_WITH_OPS=1 "
                "pip install --no-build-isolation --no-deps --no-binary onedl-mmcv "
                "--force-reinstall onedl-mmcv (a C++ compiler is needed, for GPUs nvcc, too)"
            )

        missing.__name__ = name
        return missing


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes (N, 4) that remain, best first; ``offset`` is added to sides."""
    if offset:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    return torchvision.ops.nms(boxes, scores, iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., 2017); writes boxes with lowered scores to ``dets`` (N, 5).

    Args:
        boxes: (N, 4), left, top, right, bottom.
        scores: (N,).
        dets: output; the first rows are filled.
        iou_threshold: above it the scores of overlapping boxes are lowered.
        sigma: of the Gaussian form.
        min_score: boxes whose score falls below it are dropped.
        method: 0 drops overlapping boxes, 1 lowers linearly, 2 by a Gaussian.
        offset: added to sides.

    Returns:
        Indices of the boxes written, in their order.
    """
    left = torch.arange(len(boxes), device=boxes.device)
    scores = scores.clone()
    order: list[int] = []
    while len(left):
        top = int(scores[left].argmax())
        index = int(left[top])
        dets[len(order), :4], dets[len(order), 4] = boxes[index], scores[index]
        order.append(index)
        left = torch.cat([left[:top], left[top + 1 :]])
        overlap = _overlaps(boxes[index], boxes[left], offset)
        scores[left] *= _soft_weights(overlap, iou_threshold, sigma, method)
        left = left[scores[left] >= min_score]
    return torch.tensor(order, dtype=torch.long, device=boxes.device)


def _overlaps(box: Tensor, others: Tensor, offset: int) -> Tensor:
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])) + offset
    both = sides.clamp(min=0).prod(dim=1)
    area = (box[2:] - box[:2] + offset).prod()
    return both / (area + (others[:, 2:] - others[:, :2] + offset).prod(dim=1) - both)


def _soft_weights(overlap: Tensor, threshold: float, sigma: float, method: int) -> Tensor:
    if method == 2:
        return torch.exp(-(overlap * overlap) / sigma)
    lowered = 1 - overlap if method == 1 else torch.zeros_like(overlap)
    return torch.where(overlap >= threshold, lowered, torch.ones_like(overlap))


def roi_align_forward(
    features: Tensor, rois: Tensor, output: Tensor, *_argmax: Tensor, **form: Any
) -> None:
    """RoIAlign of features (B, C, H, W) at rois (K, 5) into ``output`` (K, C, h, w)."""
    scale_and_size, sampling = _roi_form(**form)
    output.copy_(torch.ops.torchvision.roi_align(features, rois, *scale_and_size, *sampling))


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, _y: Tensor, _x: Tensor, grad_input: Tensor, **form: Any
) -> None:
    """RoIAlign's gradient by its features, into ``grad_input`` (B, C, H, W)."""
    scale_and_size, sampling = _roi_form(**form)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output, rois, *scale_and_size, *grad_input.shape, *sampling
        )
    )


def _roi_form(
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> tuple[tuple[float, int, int], tuple[int, bool]]:
    """torchvision's arguments before and after the features' shape."""
    if pool_mode != _AVERAGE:
        raise NotImplementedError(
            "RoIAlign with pool_mode='max' needs mmcv's compiled operators; use pool_mode='avg'"
        )
    return (spatial_scale, aligned_height, aligned_width), (sampling_ratio, aligned)


def deform_conv_forward(
    features: Tensor, weight: Tensor, offset: Tensor, output: Tensor, *_buffers: Tensor, **form: int
) -> None:
    """Deformable convolution, version 1, into ``output``."""
    output.copy_(_deform(features, weight, offset, None, None, form))


def deform_conv_backward_input(
    features: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    *_buffers: Tensor,
    **form: int,
) -> None:
    """Gradients of version 1 by its features and offsets."""
    found = _deform_gradients(grad_output, features, weight, offset, None, None, form)
    grad_input.copy_(found[0])
    grad_offset.copy_(found[2])


def deform_conv_backward_parameters(
    features: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    *_buffers: Tensor,
    scale: float,
    **form: int,
) -> None:
    """Gradient of version 1 by its weight; added, as mmcv adds it."""
    weight = torch.zeros_like(grad_weight)  # the weight's own gradient does not depend on it
    found = _deform_gradients(grad_output, features, weight, offset, None, None, form)
    grad_weight.add_(found[1], alpha=scale)


def modulated_deform_conv_forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    *,
    with_bias: bool,
    **form: int,
) -> None:
    """Deformable convolution, version 2, into ``output``."""
    del ones, columns
    output.copy_(_deform(features, weight, offset, mask, bias if with_bias else None, form))


def modulated_deform_conv_backward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    *,
    with_bias: bool,
    **form: int,
) -> None:
    """Gradients of version 2; those of the parameters are added, as mmcv adds them."""
    del ones, columns
    used_bias = bias if with_bias else None
    found = _deform_gradients(grad_output, features, weight, offset, mask, used_bias, form)
    grad_input.copy_(found[0])
    grad_weight.add_(found[1])
    grad_offset.copy_(found[2])
    grad_mask.copy_(found[3])
    if with_bias:
        grad_bias.add_(found[4])


def _deform(features: Tensor, *arguments: Any) -> Tensor:
    return torch.ops.torchvision.deform_conv2d(*_deform_arguments(features, *arguments))


def _deform_gradients(grad_output: Tensor, features: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    """Gradients by features, weight, offset, mask and bias."""
    return torch.ops.torchvision._deform_conv2d_backward(
        grad_output.contiguous(), *_deform_arguments(features, *arguments)
    )


def _deform_arguments(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    form: dict[str, int],
) -> tuple[Any, ...]:
    """torchvision's arguments; version 1 has neither mask nor bias."""
    no_mask, no_bias = features.new_zeros(len(features), 1), weight.new_zeros(len(weight))
    mask_used, bias_used = (no_mask if mask is None else mask), (no_bias if bias is None else bias)
    tensors = (features, weight, offset, mask_used, bias_used)
    return *(tensor.contiguous() for tensor in tensors), *_form(form), mask is not None


def _form(named: dict[str, int]) -> tuple[int, ...]:
    """Stride, padding, dilation (height before width) and groups, from mmcv's two spellings."""
    names = ["stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w"]
    if "dH" in named:
        names = ["dH", "dW", "padH", "padW", "dilationH", "dilationW"]
    return tuple(named[name] for name in [*names, "group", "deformable_group"])


_OPERATORS = (
    nms,
    softnms,
    roi_align_forward,
    roi_align_backward,
    deform_conv_forward,
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    modulated_deform_conv_forward,
    modulated_deform_conv_backward,
)

if __name__ == "detnas_mmcv_ext":
    install()
