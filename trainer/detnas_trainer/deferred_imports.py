"""Importing packages that others import at the top of their modules, when they are first used.

mmdet imports plotting, statistics and augmentations with all its transforms and models. A job uses
none of them, and importing them takes a third of the time until it can begin.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def deferred_imports(*packages: str) -> Iterator[None]:
    """Within the block, ``import`` of these packages gives stand-ins for their modules.

    Whatever was imported so loads the real module when it is called, or an attribute of it is
    read; it cannot be a base class. Packages that are loaded already stay as they are. After the
    block, imports are what they were.
    """
    finder = _Finder([name for name in packages if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.made:
            sys.modules.pop(name, None)


class _Finder(MetaPathFinder, Loader):
    """Finds a stand-in for every module of some packages; `made` are the names of all."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.made: list[str] = []
        self._packages = packages

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.made.append(spec.name)
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to execute before the real module is loaded."""


class _DeferredModule(ModuleType):
    """Stands for a module: its names are deferred in the block, and the real ones after it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            return _DeferredName(self.__name__, name)
        return getattr(importlib.import_module(self.__name__), name)


class _DeferredName:
    """Stands for what was imported by ``from module import name``."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _load(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._load()(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._load(), name)
