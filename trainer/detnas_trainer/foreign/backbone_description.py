"""A backbone of mmdet, from its configuration, as an architecture."""

import math
from collections.abc import Mapping
from typing import Any

from detnas.architecture import Architecture, Block, Family
from detnas.spec.base import Model, model_architecture
from detnas_trainer.foreign.configuration import Settings

_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_BASIC = (18, 34)
_SIZES = ("depth", "groups", "base_width", "base_channels", "stem_channels", "widen_factor")
_EVOLVED = ("family", "stem", "stages", "group_widths")
_ANY = ("type", "frozen_stages", "norm_eval", "with_cp", "zero_init_residual", "init_cfg",
        "pretrained", *_SIZES)  # fmt: skip
"""Fields that are read elsewhere, or change no detector."""

BACKBONE_VALUES: dict[str, tuple[Any, ...]] = {
    "in_channels": (3,),
    "num_stages": (4,),
    "strides": ([1, 2, 2, 2],),
    "dilations": ([1, 1, 1, 1],),
    "out_indices": ([0, 1, 2, 3],),
    "style": ("pytorch",),
    "deep_stem": (False,),
    "avg_down": (False,),
    "conv_cfg": (None,),
    "dcn": (None,),
    "stage_with_dcn": ([False] * 4,),
    "plugins": (None,),
    "norm_cfg.type": ("BN", "SyncBN"),
    "norm_cfg.requires_grad": (True,),
    "norm_cfg.eps": (1e-5,),
}
"""Paths below `model.backbone`, and the values that are supported."""

_MOBILENET: dict[str, tuple[Any, ...]] = {
    "out_indices": ([1, 2, 4, 7],),
    "act_cfg.type": ("ReLU6",),
}


def described_backbone(config: Settings, problems: list[str]) -> Architecture | None:
    """The architecture of a backbone; what is not supported is added to the problems."""
    kind = str(config.get("type", "")).rpartition(".")[2]
    makers = {
        "ResNet": _resnet,
        "ResNeXt": _resnet,
        "MobileNetV2": _mobilenet,
        "EvolvableBackbone": _evolved,
    }
    if kind not in makers:
        problems.append(
            f"model.backbone.type is {config.get('type')!r}; supported are {', '.join(makers)}"
        )
        return None
    values = BACKBONE_VALUES | (_MOBILENET if kind == "MobileNetV2" else {})
    known = (*_ANY, *_EVOLVED) if kind == "EvolvableBackbone" else _ANY
    depth = config.get("depth")
    for path, value in _flat(config):
        if path.split(".")[0] in known or (path == "style" and depth in _BASIC):
            continue
        if _listed(value) not in values.get(path, (None,)):
            allowed = " or ".join(repr(one) for one in values.get(path, ()) if one is not None)
            right = f"supported is {allowed}" if allowed else "it is not supported"
            problems.append(f"model.backbone.{path} is {value!r:.100}; {right}")
    try:
        return makers[kind](config)
    except (KeyError, ValueError, TypeError) as error:
        problems.append(f"model.backbone: its sizes are not supported ({error})")
        return None


def _resnet(config: Settings) -> Architecture:
    depth = config["depth"]
    if depth not in _DEPTHS:
        raise ValueError(f"depth is {depth}; supported are {', '.join(map(str, _DEPTHS))}")
    channels = config.get("base_channels", 64)
    stem = config.get("stem_channels") or channels
    is_resnext = str(config["type"]).endswith("ResNeXt")
    groups = config.get("groups", 1)
    family = Family.BASIC if depth in _BASIC else Family.BOTTLENECK
    if groups > 1 and is_resnext:
        family = Family.RESNEXT
    elif groups > 1:
        raise ValueError(f"groups is {groups}; a ResNet has 1")
    stages = []
    for stage, blocks in enumerate(_DEPTHS[depth]):
        width = channels << stage
        if family is Family.BASIC:
            block = Block(widths=(width, width))
        elif family is Family.BOTTLENECK:
            block = Block(widths=(width, width, 4 * width))
        else:
            group = math.floor(width * config.get("base_width", 4) / channels)
            block = Block(widths=(group * groups, group * groups, 4 * width), group_width=group)
        stages.append((block,) * blocks)
    return Architecture(family=family, stem=stem, stages=tuple(stages))


def _mobilenet(config: Settings) -> Architecture:
    factor = config.get("widen_factor", 1.0)
    if factor != 1.0:
        raise ValueError(f"widen_factor is {factor}; supported is 1.0")
    return model_architecture(Model.MOBILENET_V2)


def _evolved(config: Settings) -> Architecture:
    """The backbone of an exported detector."""
    stages, groups = config["stages"], config.get("group_widths")
    return Architecture(
        family=Family(config["family"]),
        stem=config["stem"],
        stages=tuple(
            tuple(
                Block(widths=tuple(widths), group_width=groups[at][number] if groups else None)
                for number, widths in enumerate(stage)
            )
            for at, stage in enumerate(stages)
        ),
    )


def _flat(settings: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(settings, Mapping) and settings:
        return [
            found
            for name, inner in settings.items()
            for found in _flat(inner, f"{path}.{name}" if path else str(name))
        ]
    return [(path, settings)]


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
