"""From a file to a detector's tensors, by mmdet's names, and the classes they were trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detnas.weights_file import WeightsFileError, WeightsFormat, weights_format
from detnas_trainer.foreign.unpickling import load_pickled
from detnas_trainer.weights import State, WeightsError, listed, load_weights

STEPS = ".num_batches_tracked"

_PARTS = ("backbone.", "neck.", "rpn_head.", "roi_head.")
_COMPILED = "_orig_mod."
_WRAPPED = "module."
_AVERAGING = {"steps", "n_averaged"}
"""Counters of averaged models, of mmengine and of torch: the only names without the prefix."""

_AVERAGED = (
    "the checkpoint's state_dict was taken, not its ema_state_dict; mmengine saves the averaged "
    "weights as state_dict"
)
_OTHER_NAMES = (
    ("backbone.body.", "its names are those of torchvision's detectors"),
    ("backbone.bottom_up.", "its names are those of detectron2"),
    ("layer1.", "its names are those of a backbone alone"),
)
_TRAIN_INSTEAD = (
    "give a Faster R-CNN with FPN that mmdet trained; without one, leave base.weights out and "
    "give base.train"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A detector that was trained elsewhere.

    Attributes:
        state: its tensors on the CPU, floating-point ones as float32.
        classes: that it was trained on, in their order; None if the file does not say.
        notes: what was chosen or ignored in reading it, for people.
    """

    state: State
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a detector's checkpoint, of torch.save or safetensors, whatever its suffix.

    Raises:
        WeightsError: the file is missing, broken, holds more than tensors and plain values, or is
            no state dict of a Faster R-CNN with FPN.
        OSError: the file cannot be read.
    """
    try:
        form = weights_format(path)
    except WeightsFileError as error:
        raise WeightsError(f"base.weights: {error.problem}", error.remedy) from error
    content: Any
    if form is WeightsFormat.SAFETENSORS:
        stored = load_weights(path)
        content = {"state_dict": stored.state, "meta": stored.metadata}
    else:
        content = load_pickled(path)
    state = _by_mmdets_names(_state_dict(path, content))
    _check_parts(path, state)
    averaged = {"state_dict", "ema_state_dict"} <= content.keys()
    notes = (_AVERAGED,) if averaged else ()
    return Checkpoint(_as_float(path, state), _class_names(content.get("meta")), notes)


def _state_dict(path: Path, content: Any) -> Mapping[str, Tensor]:
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping):
        found = f"a {type(state).__name__} where it would be"
    elif others := [str(name) for name in state if not _is_named_tensor(name, state[name])]:
        found = f"{listed(others)} are no tensors"
    elif not state:
        found = "it is empty"
    else:
        return state
    raise WeightsError(
        f"base.weights: {path} holds no state dict: {found}",
        "give a checkpoint with tensors by their names, bare or under 'state_dict'",
    )


def _is_named_tensor(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _by_mmdets_names(state: Mapping[str, Tensor]) -> State:
    """Remove the prefixes that torch.compile, parallel training and averaging give the names."""
    named = {name.replace(_COMPILED, ""): value for name, value in state.items()}
    wrapped = {name for name in named if name.startswith(_WRAPPED)}
    if not wrapped or named.keys() - wrapped - _AVERAGING:
        return named
    return {name.removeprefix(_WRAPPED): named[name] for name in named if name in wrapped}


def _check_parts(path: Path, state: Mapping[str, Tensor]) -> None:
    absent = [part for part in _PARTS if not any(name.startswith(part) for name in state)]
    if not absent:
        return
    known = (said for start, said in _OTHER_NAMES if any(n.startswith(start) for n in state))
    tops = sorted({name.partition(".")[0] for name in state})
    raise WeightsError(
        f"base.weights: {path} is no Faster R-CNN with FPN of mmdet: no tensor begins with "
        f"{' or '.join(absent)}; {next(known, f'its names begin with {listed(tops)}')}",
        _TRAIN_INSTEAD,
    )


def _as_float(path: Path, state: Mapping[str, Tensor]) -> State:
    """The tensors as float32, counters as they are.

    Raises:
        WeightsError: a tensor is quantised, sparse, without values, or not finite.
    """
    odd = [name for name, value in state.items() if not _is_plain(name, value)]
    if odd:
        raise WeightsError(
            f"base.weights: {path} has tensors that are not dense floating-point numbers: "
            f"{listed(odd)}",
            "give the weights as they were trained, neither quantised nor sparse",
        )
    floats = {
        name: value.detach() if name.endswith(STEPS) else value.detach().float()
        for name, value in state.items()
    }
    if broken := [name for name, value in floats.items() if not torch.isfinite(value).all()]:
        raise WeightsError(
            f"base.weights: {path} has NaN or infinity, as float32, in {listed(broken)}",
            "its training may have diverged; give an earlier checkpoint",
        )
    return floats


def _is_plain(name: str, value: Tensor) -> bool:
    dense = value.layout is torch.strided and not value.is_meta
    return dense and (value.is_floating_point() or name.endswith(STEPS))


def _class_names(described: Any) -> tuple[str, ...] | None:
    """The classes, from mmengine's meta, that of mmdet 2, or our own metadata."""
    if not isinstance(described, Mapping):
        return None
    for holder in (described.get("dataset_meta"), described):
        for key in ("classes", "CLASSES"):
            names = holder.get(key) if isinstance(holder, Mapping) else None
            if isinstance(names, str):
                return (names,)
            if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
                return tuple(names)
    return None
