"""torchvision's `fasterrcnn_resnet50_fpn`, its weights named and arranged as mmdet's.

What is the same in both libraries: RGB pixels with ImageNet's mean and standard deviation, the FPN
with its fifth level, the order of anchors and deltas, the box coders (weights 10, 10, 5, 5 are
deviations 0.1, 0.1, 0.2, 0.2), thresholds and numbers of proposals and boxes. What differs beyond
names: the background's row, frozen batch norms, anchors and RoIAlign (`DetectorVariant`).
"""

import re
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path

import torch
from torch import Tensor

from detnas_trainer.foreign.checkpoint_file import STEPS
from detnas_trainer.weights import State, WeightsError

_HEAD = "roi_head.bbox_head."
_NAMES = (
    # Optional parts: before torchvision 0.13 convolutions of FPN and RPN were not wrapped.
    (r"backbone\.body\.", "backbone."),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(?=weight|bias)", r"neck.lateral_convs.\1.conv."),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(?=weight|bias)", r"neck.fpn_convs.\1.conv."),
    (r"rpn\.head\.conv\.(?:0\.0\.)?(?=weight|bias)", "rpn_head.rpn_conv."),
    (r"rpn\.head\.cls_logits\.", "rpn_head.rpn_cls."),
    (r"rpn\.head\.bbox_pred\.", "rpn_head.rpn_reg."),
    (r"roi_heads\.box_head\.fc6\.", f"{_HEAD}shared_fcs.0."),
    (r"roi_heads\.box_head\.fc7\.", f"{_HEAD}shared_fcs.1."),
    (r"roi_heads\.box_predictor\.cls_score\.", f"{_HEAD}fc_cls."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", f"{_HEAD}fc_reg."),
)
_REFUSED = (
    (
        r"roi_heads\.box_head\.0\.|rpn\.head\.conv\.1\.|backbone\.fpn\.inner_blocks\.0\.1\.",
        "fasterrcnn_resnet50_fpn_v2: unlike version 1 it has batch norms in FPN and box head",
    ),
    (r"roi_heads\.mask_", "a Mask R-CNN, which has a mask head beside the box head"),
    (r"roi_heads\.keypoint_", "a Keypoint R-CNN, which has a keypoint head beside the box head"),
    (r"head\.", "a one-stage detector, such as RetinaNet or FCOS"),
    (r"backbone\.body\.\d+\.|backbone\.\d+\.", "a detector with a MobileNetV3 or without an FPN"),
)
_GIVE_V1 = (
    "give the weights of fasterrcnn_resnet50_fpn (version 1), or of another ResNet from "
    "resnet_fpn_backbone"
)

_COCO_DIGEST = "258fb6c6"
"""SHA-256, the beginning, of FasterRCNN_ResNet50_FPN_Weights.COCO_V1, whose norms' epsilon is 0."""

_COCO_ROWS = 91
_EPSILON = 1e-5
_SMALL_VARIANCE = 1e-3
"""Below it an epsilon of 0 in place of 1e-5 scales a channel by more than half a per cent."""


def is_torchvisions(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a detector of torchvision."""
    return any(name.startswith(("backbone.body.", "rpn.head.")) for name in state)


def by_mmdets_names(
    path: Path, state: State, classes: tuple[str, ...] | None
) -> tuple[State, tuple[str, ...] | None, tuple[str, ...]]:
    """Convert a detector of torchvision.

    Args:
        path: the file.
        state: its tensors, by torchvision's names.
        classes: that the file names, if it does.

    Returns:
        The tensors by mmdet's names, the classes, and what was done, for people.

    Raises:
        WeightsError: it is another detector than Faster R-CNN with a ResNet and an FPN.
    """
    for pattern, said in _REFUSED:
        if any(re.match(pattern, name) for name in state):
            raise WeightsError(f"{path}, of torchvision, is {said}", _GIVE_V1)
    renamed = {_renamed(name): value for name, value in state.items()}
    notes = [
        f"{len(renamed)} tensors were renamed from torchvision's names",
        "the background's row of the class layers, torchvision's first, became the last",
    ]
    scores = renamed.get(f"{_HEAD}fc_cls.weight")
    kept = None if scores is None else list(range(1, scores.shape[0]))
    if kept is not None and classes is None and len(kept) + 1 == _COCO_ROWS:
        kept, classes = _coco_rows()
        notes.append(
            f"{_COCO_ROWS} rows without class names are torchvision's categories of COCO; those "
            "that it calls N/A are left out, so that the others' scores can rise slightly"
        )
    if kept is not None:
        renamed |= _without_background_first(renamed, kept)
    if not any(name.endswith(STEPS) for name in renamed):
        notes.append(_unfreeze(path, renamed))
    return renamed, classes, tuple(notes)


def _renamed(name: str) -> str:
    for pattern, replacement in _NAMES:
        changed, number = re.subn(f"^{pattern}", replacement, name)
        if number:
            return changed
    return name


def _coco_rows() -> tuple[list[int], tuple[str, ...]]:
    """Rows and names of the categories that COCO uses."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    rows = [row for row, name in enumerate(names) if row and name != "N/A"]
    return rows, tuple(names[row] for row in rows)


def _without_background_first(state: State, kept: list[int]) -> State:
    """The class layers with the kept rows, the background's last; it regresses no box."""
    boxes = [4 * row + side for row in kept for side in range(4)]
    rows = {"fc_cls": [*kept, 0], "fc_reg": boxes}
    names = ((f"{_HEAD}{layer}.{kind}", layer) for layer in rows for kind in ("weight", "bias"))
    return {
        name: state[name][rows[layer]]
        for name, layer in names
        if name in state and max(rows[layer]) < state[name].shape[0]
    }


def _unfreeze(path: Path, state: State) -> str:
    """Let ordinary batch norms give what the frozen ones gave; say what was done."""
    said = "its batch norms are frozen, and become ordinary ones (see base.normEval)"
    variances = {n: value for n, value in state.items() if n.endswith(".running_var")}
    with path.open("rb") as file:
        is_coco = file_digest(file, "sha256").hexdigest().startswith(_COCO_DIGEST)
    if is_coco:
        for name, variance in variances.items():
            factor = torch.sqrt((variance + _EPSILON) / variance)
            scale = name.replace(".running_var", ".weight")
            state[scale] = torch.where(variance > 0, state[scale] * factor, state[scale])
        return f"{said}; their epsilon of 0 was worked into their scales"
    channels = sum(int((value < _SMALL_VARIANCE).sum()) for value in variances.values())
    if not channels:
        return said
    return (
        f"{said}; their epsilon, which no file states, is taken to be torchvision's 1e-5: had the "
        f"training begun from its COCO weights, whose is 0, {channels} channels with variances "
        f"below {_SMALL_VARIANCE} would be scaled otherwise"
    )
