"""The operator's tests: CONTRIBUTING.md says how to write one."""

from tests.operator.harness.fixtures import (
    client,
    connected,
    controller,
    harness,
    installation,
    make_harness,
    proxied,
)

__all__ = [
    "client",
    "connected",
    "controller",
    "harness",
    "installation",
    "make_harness",
    "proxied",
]
