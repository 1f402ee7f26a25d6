"""How a run ends other than well."""
# ruff: noqa: N818  (each name says what happened)

from detnas.errors import UserError


class RunError(UserError):
    """The search can not go on; what is stored stays, and the same command goes on from there."""


class AlreadyRunning(RunError):
    """Another process of this machine runs this search."""


class Interrupted(Exception):
    """The user stopped the run; its jobs have written their checkpoints."""
