"""What a check of a machine or a cluster found: one line each, and how to mend a fault."""

from enum import StrEnum

from detnas.errors import UserError
from detnas.schema import Schema


class Verdict(StrEnum):
    """Whether what was checked is as it has to be."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(Schema):
    """The outcome of one check.

    Attributes:
        what: was checked.
        verdict: on it.
        found: what is there, in a few words.
        remedy: how to mend it; empty if it is as it has to be.
    """

    what: str
    verdict: Verdict = Verdict.OK
    found: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.what}: {self.found}" if self.found else self.what
        return f"{text}; {self.remedy}" if self.remedy else text


def good(what: str, found: str = "") -> Finding:
    """What is as it has to be."""
    return Finding(what=what, found=found)


def doubtful(what: str, found: str, remedy: str) -> Finding:
    """What works, and may not be what the user wants."""
    return Finding(what=what, verdict=Verdict.WARNING, found=found, remedy=remedy)


def faulty(what: str, found: str, remedy: str) -> Finding:
    """What keeps a search from running."""
    return Finding(what=what, verdict=Verdict.FAULT, found=found, remedy=remedy)


def refused(what: str, error: UserError) -> Finding:
    """A fault that an error names, with its remedy."""
    return faulty(what, error.problem, error.remedy)
