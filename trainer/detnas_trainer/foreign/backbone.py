"""A backbone that was trained elsewhere, as on ImageNet, made to fit a detector's."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from detnas_trainer.foreign.adapting import Adapted
from detnas_trainer.foreign.checkpoint_file import STEPS, read_file, refusals_name
from detnas_trainer.foreign.comparison import compare, refuse_differences
from detnas_trainer.foreign.configuration import Settings, saved_configuration
from detnas_trainer.foreign.mobilenet import by_our_names, is_mobilenet
from detnas_trainer.weights import State, WeightsError, check_state, listed

_PREFIX = "backbone."
_CLASSIFIERS = ("fc.", "head.", "classifier.")
_FOLDED = 2e-5
"""Largest distance from 1 of folded variances: some converters subtract epsilon."""

_OTHER_BACKBONES = (
    ("conv1.0.", "a stem of several convolutions, as timm's ResNet-C and -D have it"),
    ("stem.0.", "a stem of several convolutions, as mmpretrain's ResNetV1c and V1d have it"),
    ("stem.", "detectron2's names"),
    ("bottom_up.", "detectron2's names"),
    ("body.", "the names of torchvision's detectors"),
    ("patch_embed.", "a vision transformer's names"),
    ("cls_token", "a vision transformer's names"),
    ("embedder.", "the names of Hugging Face's transformers"),
    ("resnet.embedder.", "the names of Hugging Face's transformers"),
    ("features.", "the names of a plain stack, such as VGG's or torchvision's MobileNetV2"),
    ("conv_stem.", "the names of timm's MobileNets and EfficientNets"),
    ("layer1.", "a ResNet's names"),
)
_RESNET = (
    "give the state dict of a ResNet as torchvision, timm or mmpretrain trains it: conv1, bn1, and "
    "layer1 to layer4"
)
_MOBILENET = "give the state dict of a MobileNetV2 as torchvision, timm or mmpretrain trains it"


def read_backbone(
    path: Path, fresh: Mapping[str, Tensor], configuration: Settings | None = None
) -> Adapted:
    """Read a backbone's weights from a checkpoint of a classifier or a detector.

    Args:
        path: a file of torch.save or safetensors, with the names of torchvision and timm, or of
            mmpretrain and mmdet, who begin them with ``backbone.``.
        fresh: state dict of the detector's backbone, without that prefix.
        configuration: of the detector; the checkpoint's own is compared with it.

    Raises:
        WeightsError: the file cannot be read, or holds no backbone that fits.
        OSError: the file cannot be read.
    """
    with refusals_name("base.backboneWeights"):
        stored = read_file(path)
        prefix = _PREFIX if any(name.startswith(_PREFIX) for name in stored.state) else ""
        state, others = _apart(stored.state, prefix)
        renamed = by_our_names(state, fresh) if is_mobilenet(fresh) else _resnets(state)
        if renamed is None:
            raise _other_backbone(path, state, fresh)
        state = renamed
        # Frozen norms and old checkpoints do not count batches; nothing here reads the count.
        counts = {name: value for name, value in fresh.items() if name.endswith(STEPS)}
        check_state(counts | state, fresh, "backbone")
        _check_statistics(path, state)
    report = _report(len(state), prefix, others)
    saved = saved_configuration(stored.meta)
    if saved is None or configuration is None:
        return Adapted(counts | state, (*stored.notes, report))
    found = compare(saved, configuration, state, "backbone.")
    refuse_differences("base.backboneWeights", found, trained=False)
    return Adapted(counts | found.state, (*stored.notes, report, *found.notes))


def _apart(state: State, prefix: str) -> tuple[State, list[str]]:
    """The backbone's tensors without their prefix, and the names of everything else."""
    others = [
        name
        for name in state
        if not name.startswith(prefix) or (not prefix and name.startswith(_CLASSIFIERS))
    ]
    own = {name.removeprefix(prefix): state[name] for name in state.keys() - set(others)}
    return own, sorted(others)


def _resnets(state: State) -> State | None:
    """The state itself if its names are those of a ResNet or ResNeXt, as everyone has them."""
    is_resnet = "conv1.weight" in state and any(name.startswith("layer1.") for name in state)
    return state if is_resnet else None


def _other_backbone(
    path: Path, state: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
) -> WeightsError:
    known = (said for start, said in _OTHER_BACKBONES if any(n.startswith(start) for n in state))
    tops = sorted({name.partition(".")[0] for name in state})
    found = next(known, f"names that begin with {listed(tops)}")
    wanted, remedy = ("MobileNetV2", _MOBILENET) if is_mobilenet(fresh) else ("ResNet", _RESNET)
    return WeightsError(f"{path} holds no {wanted}'s backbone: it has {found}", remedy)


def _check_statistics(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse batch norms without statistics: their file was converted from Caffe, or is untrained.

    Caffe's ResNets take pixels of another scale and order, and have their strides elsewhere.
    """
    means = [value for name, value in state.items() if name.endswith(".running_mean")]
    variances = [value for name, value in state.items() if name.endswith(".running_var")]
    if any(mean.any() for mean in means):
        return
    if all(torch.all((variance - 1).abs() < _FOLDED) for variance in variances):
        raise WeightsError(
            f"{path}: every running mean is 0 and every running variance 1: either it was never "
            "trained, or its batch norms were folded, as in the ResNets of Caffe and detectron2, "
            "which have their strides in other convolutions and take other pixels",
            "give weights that torchvision, timm or mmpretrain trained",
        )


def _report(tensors: int, prefix: str, others: list[str]) -> str:
    renamed = f", without the prefix {prefix} of their names" if prefix else ""
    left_out = f"; left out: {listed(others)}" if others else ""
    return (
        f"{tensors} tensors were taken for the backbone{renamed}{left_out}; neck, rpn_head and "
        "roi_head are initialised"
    )
