"""Why a search can not begin from what it is given."""

from detnas.errors import UserError


class BlockedError(UserError):
    """What a search is given from elsewhere is missing, unfinished or does not fit.

    Args:
        reason: in CamelCase, for programs (metav1.Condition).
        problem: what is wrong, naming the field.
        remedy: what would be right.
    """

    def __init__(self, reason: str, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.reason = reason
