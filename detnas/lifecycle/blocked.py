"""Why a search can not begin from what it is given."""

from detnas.errors import UserError
from detnas.reasons import ReasonCode


class BlockedError(UserError):
    """What a search is given from elsewhere is missing, unfinished or does not fit.

    Args:
        reason: for programs.
        problem: what is wrong, naming the field.
        remedy: what would be right.
    """

    def __init__(self, reason: ReasonCode, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.reason = reason
