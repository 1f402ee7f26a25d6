"""Faster or Cascade R-CNN with FPN around an evolvable backbone, built by mmdet."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from detnas.architecture import Architecture
from detnas.records.settings import DetectorShape
from detnas_trainer.detector_config import detector_config
from detnas_trainer.openmmlab import MODELS, ConfigDict, DefaultScope, MMLogger, TwoStageDetector
from detnas_trainer.roi_head import box_heads, roi_extractors
from detnas_trainer.weights import check_state

# isort: split
# After openmmlab, which makes mmdet importable without mmcv's operators.
import detnas_trainer.anchors
import detnas_trainer.backbone  # noqa: F401 - both register what configurations name

ADAPTOR = "adaptor"
"""Name of a distillation adaptor among a student's modules, where it is trained with the others."""

ADAPTOR_PREFIX = f"{ADAPTOR}."
"""Prefix of its tensors in a student's weights file."""


def build_detector(
    architecture: Architecture,
    shape: DetectorShape,
    classes: int,
    neck: int | None = None,
    *,
    zero_init_residual: bool = True,
) -> TwoStageDetector:
    """A freshly initialised detector; draws from torch's global generator.

    `zero_init_residual` is the backbone's; the other arguments are those of `detector_config`.
    """
    detector = _build(detector_config(architecture, shape, classes, neck))
    detector.backbone.zero_init_residual = zero_init_residual
    with _quiet():
        detector.init_weights()
    return detector


def load_detector(
    architecture: Architecture,
    shape: DetectorShape,
    classes: int,
    state: Mapping[str, Tensor],
    neck: int | None = None,
) -> TwoStageDetector:
    """A detector with the weights given; nothing is drawn at random.

    `state` is copied, without tensors under ``adaptor.``; the other arguments are those of
    `detector_config`.

    Raises:
        WeightsMismatchError: a tensor is missing, unexpected, or of another shape.
    """
    with _WithoutInitialisation():
        detector = _build(detector_config(architecture, shape, classes, neck))
    own = detector_state(state)
    check_state(own, detector.state_dict())
    detector.load_state_dict(own)
    return detector


def fastest_format(device: str) -> torch.memory_format:
    """Order of an image tensor's dimensions in memory in which a device convolves fastest."""
    return torch.channels_last if device == "cuda" else torch.contiguous_format


def detector_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The detector's own tensors of a student's state, without the distillation adaptor's."""
    return {name: value for name, value in state.items() if not name.startswith(ADAPTOR_PREFIX)}


def _build(config: dict[str, Any]) -> TwoStageDetector:
    # mmengine looks up the preprocessor in its own registry unless the scope says otherwise.
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = MODELS.build(ConfigDict(config))
    _keep_boxes_exact(detector)
    return detector


def _keep_boxes_exact(detector: TwoStageDetector) -> None:
    """Compute boxes in 32 bits under autocast too: with 16 they would be off by several pixels."""
    detector.rpn_head.register_forward_hook(lambda _module, _inputs, outputs: _in_32_bits(outputs))
    for extractor in roi_extractors(detector.roi_head):  # mmdet gives RoIs the features' type
        extractor.register_forward_pre_hook(lambda _module, inputs: _in_32_bits(inputs))
    for head in box_heads(detector.roi_head):
        head.register_forward_hook(lambda _module, _inputs, outputs: _in_32_bits(outputs))


def _in_32_bits(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in {torch.bfloat16, torch.float16} else value
    if isinstance(value, tuple | list):
        return type(value)(map(_in_32_bits, value))
    return value


@contextmanager
def _quiet() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves tensors as allocated: for models whose weights are set right afterwards."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # A mode sees the call of some initialisers, and only the final draw of others.
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _DRAWS:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


_DRAWS = (Tensor.uniform_, Tensor.normal_)
