"""The compact set says what Python's own set says, and is small."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from detnas.search.fingerprints import Fingerprints

numbers = st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1))


@given(st.lists(numbers), st.lists(numbers))
def test_it_is_a_set(some: list[int], others: list[int]) -> None:
    compact = Fingerprints(some)
    assert set(compact) == set(some)
    assert list(compact) == sorted(set(some))
    assert len(compact) == len(set(some))
    assert [other in compact for other in others] == [other in set(some) for other in others]
    assert compact == Fingerprints(reversed(some))
    assert (compact == Fingerprints(others)) == (set(some) == set(others))


def test_a_thousand_take_eight_kilobytes() -> None:
    thousand = Fingerprints(2**60 + number for number in range(1000))
    assert sys.getsizeof(thousand) + sys.getsizeof(thousand._sorted) < 8500
