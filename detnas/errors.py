"""Errors for users: each names the field, the value found, and what would be right."""


class UserError(ValueError):
    """An input or a setting of the user cannot be used.

    Args:
        problem: what is wrong, naming the field or object and the value found.
        remedy: what would be right, or what to do; may be empty if the problem implies it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem
