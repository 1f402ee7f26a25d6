"""What mmdet takes where a detector's configuration states nothing: its arguments' defaults."""

import inspect
from collections.abc import Mapping
from typing import Any

from detnas_trainer.foreign.configuration import Settings, value_at
from detnas_trainer.openmmlab import MODELS, TASK_UTILS, RoIAlign


def value_or_default(model: Settings, path: str) -> Any:
    """The value at a path below ``model``, or mmdet's default; None where it has none either.

    Args:
        model: the section of a configuration.
        path: such as ``rpn_head.bbox_coder.target_means``; see `value_at`.
    """
    found = value_at(model, path)
    return _default(model, path) if found is None else found


def _default(model: Settings, path: str) -> Any:
    above, _, name = path.rpartition(".")
    part = value_or_default(model, above) if above else None
    if not isinstance(part, Mapping):
        return None
    return part[name] if name in part else _default_of_argument(_class_of(part), name)


def _class_of(part: Settings) -> type | None:
    """The class that mmdet builds from a part; None of a group of settings."""
    kind = str(part.get("type", "")).rpartition(".")[2]
    if kind == RoIAlign.__name__:
        return RoIAlign
    found = (registry.get(kind) for registry in (MODELS, TASK_UTILS)) if kind else ()
    return next((one for one in found if isinstance(one, type)), None)


def _default_of_argument(kind: type | None, name: str) -> Any:
    """The default in the first constructor, from the class up, that has such an argument."""
    for one in kind.__mro__ if kind else ():
        constructor = vars(one).get("__init__")
        parameter = inspect.signature(constructor).parameters.get(name) if constructor else None
        if parameter is not None:
            return None if parameter.default is parameter.empty else parameter.default
    return None
