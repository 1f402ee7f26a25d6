"""A reason together with its message, as a condition or event reports both."""

from dataclasses import dataclass

from detnas.reasons.codes import ReasonCode


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason code and its message.

    Attributes:
        code: for programs; the condition's or event's `reason`.
        message: for people, with what to do.
    """

    code: ReasonCode
    message: str

    @classmethod
    def static(cls, code: ReasonCode, **fields: object) -> "Reason":
        """Return a reason with its code's message template filled in."""
        assert code.template, code
        return cls(code, code.template.format(**fields))
