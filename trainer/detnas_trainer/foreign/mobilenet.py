"""MobileNetV2's tensors as torchvision, timm and OpenMMLab name them, by the names used here."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from detnas_trainer.weights import State

_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class _Library:
    """How a library names the parts of a MobileNetV2.

    Attributes:
        ends: prefixes of the convolutions before and after the blocks, and of their norms.
        block: beginning of a block's names; its groups are numbers that order the blocks.
        stem_block: prefixes inside the first block, which does not expand.
        inner: prefixes inside every other block.
    """

    ends: Mapping[str, str]
    block: re.Pattern[str]
    stem_block: Mapping[str, str]
    inner: Mapping[str, str]


_LIBRARIES = {
    "features.0.0.weight": _Library(  # torchvision
        {"features.0.0": "conv1", "features.0.1": "bn1"}
        | {"features.18.0": "conv2", "features.18.1": "bn2"},
        re.compile(r"features\.(\d+)\.conv\."),
        {"0.0": "conv1", "0.1": "bn1", "1": "conv2", "2": "bn2"},
        {"0.0": "conv1", "0.1": "bn1", "1.0": "conv2", "1.1": "bn2", "2": "conv3", "3": "bn3"},
    ),
    "conv_stem.weight": _Library(  # timm
        {"conv_stem": "conv1", "bn1": "bn1", "conv_head": "conv2", "bn2": "bn2"},
        re.compile(r"blocks\.(\d+)\.(\d+)\."),
        {"conv_dw": "conv1", "bn1": "bn1", "conv_pw": "conv2", "bn2": "bn2"},
        {"conv_pw": "conv1", "conv_dw": "conv2", "conv_pwl": "conv3"}
        | {"bn1": "bn1", "bn2": "bn2", "bn3": "bn3"},
    ),
    "conv1.conv.weight": _Library(  # mmpretrain and mmdet
        {"conv1.conv": "conv1", "conv1.bn": "bn1", "conv2.conv": "conv2", "conv2.bn": "bn2"},
        re.compile(r"layer(\d+)\.(\d+)\."),
        {"depthwise_conv.conv": "conv1", "depthwise_conv.bn": "bn1"}
        | {"linear_conv.conv": "conv2", "linear_conv.bn": "bn2"},
        {"expand_conv.conv": "conv1", "expand_conv.bn": "bn1"}
        | {"depthwise_conv.conv": "conv2", "depthwise_conv.bn": "bn2"}
        | {"linear_conv.conv": "conv3", "linear_conv.bn": "bn3"},
    ),
}
"""By a name that only the library's MobileNetV2 has."""


def is_mobilenet(state: Iterable[str]) -> bool:
    """Whether names are those of a MobileNetV2 here."""
    return any(name.startswith("stem_block.") for name in state)


def by_our_names(state: State, fresh: Mapping[str, Tensor]) -> State | None:
    """The tensors by the names used here; None if they are of none of the libraries.

    Args:
        state: of a library's MobileNetV2.
        fresh: state dict of ours; its blocks are the library's, in their order. Of another number
            of blocks the rest keep their names.
    """
    library = next((found for mark, found in _LIBRARIES.items() if mark in state), None)
    if library is None:
        return None
    theirs = _places(state, library.block)
    ours = [f"layer{stage}.{block}." for stage, block in _places(fresh, _BLOCK)]
    places = dict(zip(theirs, ["stem_block.", *ours], strict=False))
    return {_renamed(name, library, places): value for name, value in state.items()}


def _places(names: Iterable[str], block: re.Pattern[str]) -> list[tuple[int, ...]]:
    found = (block.match(name) for name in names)
    return sorted({tuple(map(int, match.groups())) for match in found if match})


def _renamed(name: str, library: _Library, places: Mapping[tuple[int, ...], str]) -> str:
    match = library.block.match(name)
    if match is None:
        return _replaced(name, library.ends)
    place = places.get(tuple(map(int, match.groups())))
    if place is None:
        return name
    prefixes = library.stem_block if place == "stem_block." else library.inner
    return place + _replaced(name[match.end() :], prefixes)


def _replaced(name: str, prefixes: Mapping[str, str]) -> str:
    part, _, kind = name.rpartition(".")
    return f"{prefixes.get(part, part)}.{kind}"
