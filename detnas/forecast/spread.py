"""An expected value, and between which values it lies."""

from collections.abc import Iterable

from detnas.schema import Schema


class Spread(Schema):
    """A figure that is not known exactly.

    Attributes:
        low: it is hardly less.
        expected: the best guess.
        high: it is hardly more.
    """

    low: float
    expected: float
    high: float

    def __mul__(self, factor: "float | Spread") -> "Spread":
        """The product; of two spreads, both being low or high at once."""
        if isinstance(factor, Spread):
            return Spread(
                low=self.low * factor.low,
                expected=self.expected * factor.expected,
                high=self.high * factor.high,
            )
        return self * exactly(factor)

    def __add__(self, other: "Spread") -> "Spread":
        """The sum, both being low or high at once."""
        return Spread(
            low=self.low + other.low,
            expected=self.expected + other.expected,
            high=self.high + other.high,
        )

    def latest(self, other: "Spread") -> "Spread":
        """When the later of two ends."""
        return Spread(
            low=max(self.low, other.low),
            expected=max(self.expected, other.expected),
            high=max(self.high, other.high),
        )


def exactly(value: float) -> Spread:
    """A figure that is known."""
    return Spread(low=value, expected=value, high=value)


def total(spreads: Iterable[Spread]) -> Spread:
    """The sum of several."""
    return sum(spreads, exactly(0.0))
