"""The compact set says what Python's own set says, and is small."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger.fingerprints import Fingerprints

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


@given(st.lists(numbers))
def test_packed_it_takes_eight_bytes_each(some: list[int]) -> None:
    compact = Fingerprints(some)
    assert compact.packed == b"".join(one.to_bytes(8) for one in sorted(set(some)))
    assert Fingerprints.unpacked(compact.packed) == compact


@pytest.mark.parametrize("packed", [b"1234567", b"12345678" * 2, b"2" * 8 + b"1" * 8])
def test_what_was_not_packed_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"rising order|bytes length"):
        Fingerprints.unpacked(packed)


def test_a_thousand_take_eight_kilobytes() -> None:
    thousand = Fingerprints(2**60 + number for number in range(1000))
    assert sys.getsizeof(thousand) + sys.getsizeof(thousand._sorted) < 8500
