"""Weights as safetensors with JSON beside them, foreign checkpoints, and what fits a model.

Nothing is ever unpickled without `weights_only`: a checkpoint that asks for more is refused.
"""

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from detnas.errors import UserError

_METADATA = "detnas"
_CLASS_TENSORS = tuple(
    f"roi_head.bbox_head.{layer}.{kind}"
    for layer in ("fc_cls", "fc_reg")
    for kind in ("weight", "bias")
)
_STEPS = ".num_batches_tracked"
_NAMED = 5

State = dict[str, Tensor]


class WeightsError(UserError):
    """A weights file that can not be read, or that holds no detector."""


class WeightsMismatchError(WeightsError):
    """Weights that do not fit the model.

    Attributes:
        missing: tensors the model has and the weights do not.
        unexpected: tensors the weights have and the model does not.
        mismatched: tensors of another shape, as (name, given, expected).
    """

    def __init__(
        self,
        missing: tuple[str, ...],
        unexpected: tuple[str, ...],
        mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...],
    ) -> None:
        shapes = [f"{name} is {given}, not {expected}" for name, given, expected in mismatched]
        kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        found = [f"{len(names)} {kind} ({_listed(names)})" for kind, names in kinds if names]
        super().__init__(
            f"weights: tensors do not fit the detector: {'; '.join(found)}",
            "give weights of the same architecture, detector shape and number of classes",
        )
        self.missing = missing
        self.unexpected = unexpected
        self.mismatched = mismatched


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file's content: tensors on the CPU, and the JSON object beside them."""

    state: State
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Adapted:
    """Weights that fit the model, and what was done to make them, for people to read."""

    state: State
    notes: tuple[str, ...]


def save_weights(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors and a JSON object as one safetensors file.

    The same content gives the same bytes; the file appears whole or not at all.

    Args:
        path: where to write; an existing file is replaced.
        state: tensors of any device.
        metadata: what JSON can hold, such as the architecture.
    """
    # One key only: safetensors writes several in no fixed order.
    text = json.dumps(dict(metadata or {}), sort_keys=True, ensure_ascii=False)
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, unfinished, metadata={_METADATA: text})
        unfinished.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def load_weights(path: Path) -> Weights:
    """Read a file that `save_weights`, or any other writer of safetensors, wrote.

    Raises:
        WeightsError: the file is truncated, altered, or no safetensors file.
        FileNotFoundError: there is no such file.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get(_METADATA, "{}")
        metadata = json.loads(text)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"weights: {path} can not be read as safetensors ({error})",
            "the file is truncated or altered; fetch or write it again",
        ) from error
    return Weights(state, metadata)


def import_checkpoint(path: Path) -> State:
    """A detector's state dict from a foreign checkpoint: `.safetensors`, or `.pth` of mmdet.

    Raises:
        WeightsError: the file is broken, holds more than tensors and plain values, or is no
            detector's state dict.
        FileNotFoundError: there is no such file.
    """
    if path.suffix == ".safetensors":
        content: Any = load_weights(path).state
    else:
        content = _unpickle_tensors(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(
            f"weights: {path} holds no state dict",
            "give a checkpoint with names and tensors, bare or under 'state_dict'",
        )
    return _as_detector(path, state)


def check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights that do not fit exactly.

    Args:
        state: the weights.
        expected: the model's own state dict.

    Raises:
        WeightsMismatchError: names every kind of misfit.
    """
    missing = tuple(sorted(expected.keys() - state.keys()))
    unexpected = tuple(sorted(state.keys() - expected.keys()))
    mismatched = tuple(
        (name, tuple(state[name].shape), tuple(value.shape))
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    )
    if missing or unexpected or mismatched:
        raise WeightsMismatchError(missing, unexpected, mismatched)


def adapt_state(
    state: Mapping[str, Tensor], fresh: Mapping[str, Tensor], *, new_classes: bool = False
) -> Adapted:
    """Make foreign weights fit a model, where that loses nothing unasked.

    Args:
        state: the weights, such as `import_checkpoint` gives.
        fresh: state dict of the freshly initialised model.
        new_classes: take the box head's last layers from `fresh` where their shape differs,
            for weights that were trained on other classes.

    Raises:
        WeightsMismatchError: the weights do not fit, also where the classes differ unasked.
    """
    # Checkpoints older than PyTorch 0.4.1 do not count batches; nothing here reads the count.
    adapted = {name: value for name, value in fresh.items() if name.endswith(_STEPS)} | dict(state)
    notes = []
    if new_classes:
        for name in _CLASS_TENSORS:
            if name in adapted and name in fresh and adapted[name].shape != fresh[name].shape:
                notes.append(
                    f"{name} initialised afresh: the weights have shape "
                    f"{tuple(adapted[name].shape)}, the detector {tuple(fresh[name].shape)}"
                )
                adapted[name] = fresh[name].clone()
    check_state(adapted, fresh)
    return Adapted(adapted, tuple(notes))


def _unpickle_tensors(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights: {path} is refused: it holds more than tensors and plain values, "
            "or it is no checkpoint",
            "where you trust it, write its state dict alone: "
            'torch.save({"state_dict": torch.load(old, weights_only=False)["state_dict"]}, new)',
        ) from error
    except (RuntimeError, EOFError, BadZipFile) as error:
        raise WeightsError(
            f"weights: {path} can not be read ({error})",
            "the file is truncated or altered; fetch it again",
        ) from error


def _as_detector(path: Path, state: Mapping[str, Tensor]) -> State:
    prefix = "module."
    if state and all(name.startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    parts = ("backbone.", "neck.", "rpn_head.", "roi_head.")
    absent = [part for part in parts if not any(name.startswith(part) for name in state)]
    if absent:
        raise WeightsError(
            f"weights: {path} is no Faster R-CNN with FPN: no tensor begins with "
            + " or ".join(absent),
            "give a detector's checkpoint, not a backbone's",
        )
    return {
        name: value.float() if value.is_floating_point() else value for name, value in state.items()
    }


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
