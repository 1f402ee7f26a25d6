"""Weights as safetensors with JSON beside them, and whether they fit a model."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from detnas.errors import UserError

_METADATA = "detnas"
_NAMED = 5

State = dict[str, Tensor]


class WeightsError(UserError):
    """A weights file that cannot be read, or that holds no detector."""


class WeightsMismatchError(WeightsError):
    """Weights that do not fit the model.

    Attributes:
        missing: tensors the model has and the weights do not.
        unexpected: tensors the weights have and the model does not.
        mismatched: tensors of another shape, as (name, given, expected).
    """

    _REMEDIES = {
        "detector": "give weights of the same architecture, detector shape and number of classes",
        "backbone": "give weights of the same architecture",
    }

    def __init__(
        self,
        missing: tuple[str, ...],
        unexpected: tuple[str, ...],
        mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...],
        model: Literal["detector", "backbone"] = "detector",
    ) -> None:
        shapes = [f"{name} is {given}, not {expected}" for name, given, expected in mismatched]
        kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        found = [f"{len(names)} {kind} ({listed(names)})" for kind, names in kinds if names]
        super().__init__(
            f"weights: tensors do not fit the {model}: {'; '.join(found)}", self._REMEDIES[model]
        )
        self.missing = missing
        self.unexpected = unexpected
        self.mismatched = mismatched


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file's content: tensors on the CPU, and the JSON object beside them."""

    state: State
    metadata: dict[str, Any]


def save_weights(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors and a JSON object as one safetensors file.

    The same content gives the same bytes; the file appears complete or not at all.
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
            f"{path} cannot be read as safetensors ({error})",
            "the file is truncated or altered; fetch or write it again",
        ) from error
    return Weights(state, metadata)


def check_state(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    model: Literal["detector", "backbone"] = "detector",
) -> None:
    """Refuse weights that do not fit exactly; `model` says what they are for.

    Raises:
        WeightsMismatchError: names every kind of mismatch.
    """
    missing = tuple(sorted(expected.keys() - state.keys()))
    unexpected = tuple(sorted(state.keys() - expected.keys()))
    mismatched = tuple(
        (name, tuple(state[name].shape), tuple(value.shape))
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    )
    if missing or unexpected or mismatched:
        raise WeightsMismatchError(missing, unexpected, mismatched, model)


def listed(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
