"""A digest of settings that does not change with how they are written down."""

import hashlib
import json
from decimal import Decimal
from typing import Any

from pydantic import BaseModel


def settings_digest(settings: Any) -> str:
    """Return the SHA-256 of plain data, pydantic models included, in hexadecimal digits.

    Equal settings have equal digests: the order of keys is nothing, ``1.0`` is ``1.00``.
    """
    text = json.dumps(_plain(settings), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value
