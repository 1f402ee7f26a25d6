"""The configuration that a checkpoint of OpenMMLab contains, as plain data.

mmengine and mmdet 2 save the training's configuration as text beside the weights. It is parsed,
never run.
"""

import ast
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

_MAX_CHARACTERS = 1_000_000


def saved_configuration(meta: Settings) -> Settings | None:
    """The configuration in a checkpoint's `meta`; None if there is none, or it is no plain data."""
    for key in ("cfg", "config"):
        found = meta.get(key)
        if isinstance(found, Mapping):
            return found
        if isinstance(found, str) and len(found) <= _MAX_CHARACTERS:
            return parse_configuration(found)
    return None


def value_at(settings: Any, path: str, default: Any = None) -> Any:
    """The value at a path such as ``model.backbone.type``, or the default if there is none."""
    for name in path.split("."):
        if not isinstance(settings, Mapping) or name not in settings:
            return default
        settings = settings[name]
    return settings


def parse_configuration(text: str) -> Settings | None:
    """The values that a configuration's Python text assigns to names; None if it is no Python.

    An expression that is no plain data is None.
    """
    try:
        statements = ast.parse(text).body
        return {
            target.id: _value(statement.value)
            for statement in statements
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    """Plain data; None where an expression is anything else."""
    match node:
        case ast.Constant(value):
            return value
        case ast.List(elements) | ast.Tuple(elements):
            return [_value(one) for one in elements]
        case ast.Dict(keys, values):
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs if key is not None}
        case ast.Call(ast.Name("dict"), _, keywords):
            merged: dict[str, Any] = {}
            for one in keywords:
                value = _value(one.value)
                merged |= {one.arg: value} if one.arg is not None else value or {}
            return merged
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return -value
    return None
