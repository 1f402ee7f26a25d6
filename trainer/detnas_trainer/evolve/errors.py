"""The error of an action that cannot be taken."""

from detnas.errors import UserError


class InvalidActionError(UserError):
    """The action is not possible on this parent; another one has to be proposed."""
