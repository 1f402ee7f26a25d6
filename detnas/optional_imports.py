"""Modules that are imported only where they are used, and need not be installed.

They are imported by name, because `detnas` itself depends on none of them.
"""

import importlib
from typing import Any

from detnas.errors import UserError


def find_module(name: str) -> Any:
    """The module, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.split(".", maxsplit=1)[0] == error.name.split(".")[0]:
            return None
        raise


def require_module(name: str, what: str, package: str, extra: str = "export") -> Any:
    """The module.

    Args:
        name: of the module.
        what: needs it, for the message.
        package: that has it.
        extra: of detnas, that brings this package and others of its kind.

    Raises:
        UserError: it is not installed.
    """
    module = find_module(name)
    if module is None:
        raise UserError(
            f"{what} needs the package {package}, which is not installed",
            f"pip install {package}, or all that such things need: pip install 'detnas[{extra}]'",
        )
    return module
