"""Sets of 64-bit fingerprints, kept small: an operator holds those of every search's trials."""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Set
from itertools import pairwise


class Fingerprints(Set[int]):
    """An immutable set of numbers below 2**64, in eight bytes each; a set of Python's takes 90.

    Raises:
        OverflowError: a number is negative, or too large.
    """

    __slots__ = ("_sorted",)

    def __init__(self, fingerprints: Iterable[int] = ()) -> None:
        self._sorted = array("Q", sorted(set(fingerprints)))

    @classmethod
    def unpacked(cls, packed: bytes) -> "Fingerprints":
        """Return what `packed` gave.

        Raises:
            ValueError: it gave something else.
        """
        numbers = array("Q")
        numbers.frombytes(packed)
        if sys.byteorder == "little":
            numbers.byteswap()
        if any(first >= second for first, second in pairwise(numbers)):
            raise ValueError("fingerprints stand in rising order, each once")
        made = cls()
        made._sorted = numbers
        return made

    @property
    def packed(self) -> bytes:
        """Eight bytes each, big-endian, in rising order."""
        numbers = self._sorted[:]
        if sys.byteorder == "little":
            numbers.byteswap()
        return numbers.tobytes()

    def __contains__(self, fingerprint: object) -> bool:
        if not isinstance(fingerprint, int):
            return False
        place = bisect_left(self._sorted, fingerprint)
        return place < len(self._sorted) and self._sorted[place] == fingerprint

    def __iter__(self) -> Iterator[int]:
        """From the lowest to the highest."""
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def __repr__(self) -> str:
        return f"Fingerprints({list(self._sorted)})"
