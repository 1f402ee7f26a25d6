"""Why a search may not start (more) jobs."""

from detnas.errors import UserError
from detnas.reasons import ReasonCode


class BlockedError(UserError):
    """A search may not start (more) jobs: a supplied input is missing or unfit, for example.

    Args:
        code: for programs.
        problem: what is wrong, naming the field.
        remedy: what would be right.
    """

    def __init__(self, code: ReasonCode, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.code = code
