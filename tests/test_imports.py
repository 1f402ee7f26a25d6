"""Every module can be imported, on every Python that the tests run on."""

import importlib
import pkgutil

import pytest

PROGRAMS = ("detnas_operator.__main__",)
"""They run when they are imported."""


@pytest.mark.parametrize("name", ["detnas", "detnas_operator", "detnas_trainer"])
def test_every_module_can_be_imported(name: str) -> None:
    package = importlib.import_module(name)
    found = [one.name for one in pkgutil.walk_packages(package.__path__, f"{name}.")]
    assert len(found) > 50
    for module in found:
        if module not in PROGRAMS:
            importlib.import_module(module)
