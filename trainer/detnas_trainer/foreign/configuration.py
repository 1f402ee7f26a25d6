"""The configuration that a checkpoint of OpenMMLab contains, as plain data.

mmengine and mmdet 2 save the training's configuration as text beside the weights. It is parsed,
never run.
"""

import ast
from collections.abc import Iterator, Mapping
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
    """The value at a path such as ``model.backbone.type``, or the default if there is none.

    A number is an index, as in ``bbox_head.0.type``; where there is one for all, it is that one.
    """
    for name in path.split("."):
        if name.isdigit() and isinstance(settings, list | tuple):
            settings = settings[int(name)] if int(name) < len(settings) else None
        elif isinstance(settings, Mapping) and name in settings:
            settings = settings[name]
        elif not (name.isdigit() and isinstance(settings, Mapping)):
            return default
    return settings


def values_at(settings: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each value at a path, with its own path: below a list of parts, one for each of them."""
    name, _, rest = path.partition(".")
    found = settings.get(name) if isinstance(settings, Mapping) else None
    parts = [(name, found)]
    if rest and isinstance(found, list | tuple):
        parts = [(f"{name}.{number}", part) for number, part in enumerate(found)]
    for at, part in parts:
        if not rest and part is not None:
            yield at, part
        for below, value in values_at(part, rest) if rest else ():
            yield f"{at}.{below}", value


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
