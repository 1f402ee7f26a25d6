"""How a run ends without success."""
# ruff: noqa: N818  (each name says what happened)

from detnas.errors import UserError


class RunError(UserError):
    """The search cannot continue; the store is intact, and the same command continues from it."""


class AlreadyRunning(RunError):
    """Another process of this machine runs this search."""


class Interrupted(Exception):
    """The user stopped the run; its jobs have written their checkpoints."""
