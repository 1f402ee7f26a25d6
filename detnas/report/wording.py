"""Texts of the page: kinds of steps and numbers, for people."""

from detnas.plan.step_text import spaced
from detnas.records.proposal import Proposal


def step_kind(proposal: Proposal) -> str:
    """Kind of a trial's step: ``baseline``, ``teacher``, or the action's name in words."""
    if proposal.action is None:
        return str(proposal.step).lower()
    return spaced(proposal.action.kind)


def percent(fraction: float) -> str:
    """A fraction as ``61.23 %``."""
    return f"{100 * fraction:.2f} %"


def giga(flops: float) -> str:
    """FLOPs in units of 10⁹ with three significant digits or more: ``160.5``, ``0.482``."""
    return _scaled(flops / 1e9)


def mega(count: float) -> str:
    """A count in units of 10⁶."""
    return _scaled(count / 1e6)


def _scaled(value: float) -> str:
    digits = 1 if value >= 100 else 2 if value >= 10 else 3
    return f"{value:.{digits}f}"


def change(value: float, base: float) -> str:
    """By how much a value differs from the base's, as ``−41 %``; empty if it does not."""
    if not base or value == base:
        return ""
    difference = value / base - 1
    return signed(100 * difference, 0 if abs(difference) >= 0.1 else 1) + " %"


def with_error(value: str, error: float | None, digits: int = 4) -> str:
    """A value with its standard error, if that is known: ``0.6512 ± 0.0123``."""
    return value if error is None else f"{value} ± {error:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """A number with its sign; the minus is not a hyphen."""
    return f"{value:+.{digits}f}".replace("-", "−")
