"""One rule of the resource's definition, in CEL."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that the API server checks.

    Attributes:
        rule: CEL over ``self``, and ``oldSelf`` for a transition.
        message: what would be right.
        field: path below ``self`` that the message names, such as ``.search.seed``.
    """

    rule: str
    message: str
    field: str = ""

    def to_json(self) -> dict[str, str]:
        """An entry of ``x-kubernetes-validations``."""
        entry = {"rule": " ".join(self.rule.split()), "message": self.message}
        return {**entry, "fieldPath": self.field} if self.field else entry
