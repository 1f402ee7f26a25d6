"""What a checkpoint's file holds: tensors by name, and what is said of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detnas.weights_file import WeightsFileError, WeightsFormat, weights_format
from detnas_trainer.foreign.unpickling import load_pickled
from detnas_trainer.weights import State, WeightsError, listed, load_weights

_STEPS = "num_batches_tracked"  # mmdet 2 has them as ema_…_num_batches_tracked, too
STEPS = f".{_STEPS}"

_COMPILED = "_orig_mod."
_WRAPPED = "module."
_AVERAGING = {"steps", "n_averaged"}
"""Counters of averaged models, of mmengine and of torch: the only names without the prefix."""

_HOLDERS = ("state_dict", "model")
"""Where training scripts keep the weights: mmengine and timm, and those of torchvision."""

_AVERAGES = ("ema_state_dict", "state_dict_ema", "model_ema")


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint's content.

    Attributes:
        path: the file.
        state: tensors on the CPU, floating-point ones as float32, without wrappers' prefixes.
        meta: what is said beside them; empty if nothing is.
        notes: what was chosen or ignored in reading it, for people.
    """

    path: Path
    state: State
    meta: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@contextmanager
def refusals_name(field: str) -> Iterator[None]:
    """Let every refusal inside begin with the field of the manifest that it is about."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{field}: {error.problem}", error.remedy) from error


def read_file(path: Path) -> StoredCheckpoint:
    """Read a checkpoint, of torch.save or safetensors, whatever its suffix.

    Raises:
        WeightsError: the file is missing, broken, holds more than tensors and plain values, or no
            state dict.
        OSError: the file cannot be read.
    """
    try:
        form = weights_format(path)
    except WeightsFileError as error:
        raise WeightsError(error.problem, error.remedy) from error
    content: Any
    if form is WeightsFormat.SAFETENSORS:
        stored = load_weights(path)
        content = {"state_dict": stored.state, "meta": stored.metadata}
    else:
        content = load_pickled(path)
    holder = _holder(content)
    state = _without_wrappers(_state_dict(path, content if holder is None else content[holder]))
    meta = content.get("meta")
    return StoredCheckpoint(
        path,
        _as_float(path, state),
        meta if isinstance(meta, Mapping) else {},
        _averaged(holder, content),
    )


def _holder(content: Any) -> str | None:
    """The key under which a file keeps its weights; None if the file is the state dict."""
    keys = content if isinstance(content, Mapping) else ()
    return next((key for key in _HOLDERS if key in keys), None)


def _averaged(holder: str | None, content: Mapping[str, Any]) -> tuple[str, ...]:
    averages = [key for key in _AVERAGES if holder is not None and key in content]
    if not averages:
        return ()
    note = f"the checkpoint's {holder} was taken, not its {averages[0]}"
    if averages[0] == "ema_state_dict":
        note += "; mmengine saves the averaged weights as state_dict"
    return (note,)


def _state_dict(path: Path, state: Any) -> Mapping[str, Tensor]:
    if not isinstance(state, Mapping):
        found = f"a {type(state).__name__} where it would be"
    elif others := [str(name) for name in state if not _is_named_tensor(name, state[name])]:
        found = f"{listed(others)} are no tensors"
    elif not state:
        found = "it is empty"
    else:
        return state
    raise WeightsError(
        f"{path} holds no state dict: {found}",
        "give a checkpoint with tensors by their names, bare or under 'state_dict'",
    )


def _is_named_tensor(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _without_wrappers(state: Mapping[str, Tensor]) -> State:
    """Remove the prefixes that torch.compile, parallel training and averaging give the names."""
    named = {name.replace(_COMPILED, ""): value for name, value in state.items()}
    wrapped = {name for name in named if name.startswith(_WRAPPED)}
    if not wrapped or named.keys() - wrapped - _AVERAGING:
        return named
    return {name.removeprefix(_WRAPPED): named[name] for name in named if name in wrapped}


def _as_float(path: Path, state: Mapping[str, Tensor]) -> State:
    """The tensors as float32, counters as they are.

    Raises:
        WeightsError: a tensor is quantised, sparse, without values, or not finite.
    """
    odd = [name for name, value in state.items() if not _is_plain(name, value)]
    if odd:
        raise WeightsError(
            f"{path} has tensors that are not dense floating-point numbers: {listed(odd)}",
            "give the weights as they were trained, neither quantised nor sparse",
        )
    floats = {
        name: value.detach() if name.endswith(_STEPS) else value.detach().float()
        for name, value in state.items()
    }
    if broken := [name for name, value in floats.items() if not torch.isfinite(value).all()]:
        raise WeightsError(
            f"{path} has NaN or infinity, as float32, in {listed(broken)}",
            "its training may have diverged; give an earlier checkpoint",
        )
    return floats


def _is_plain(name: str, value: Tensor) -> bool:
    dense = value.layout is torch.strided and not value.is_meta
    return dense and (value.is_floating_point() or name.endswith(_STEPS))
