"""A reason together with its message, as a condition or event reports both."""

from dataclasses import dataclass

from detnas.reasons.codes import ReasonCode


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is.

    Attributes:
        reason: for programs.
        message: for people, with what to do.
    """

    reason: ReasonCode
    message: str

    @classmethod
    def static(cls, reason: ReasonCode, **fields: object) -> "Reason":
        """Return a reason with its own message, whose fields are filled in."""
        assert reason.template, reason
        return cls(reason, reason.template.format(**fields))
